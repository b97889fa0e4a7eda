/* Threads that work on a job together, kept for the next one.

   A job's work is divided into tasks, which whichever thread is awake takes, one after the other. The thread that has the
   job begins at once and does all of it if need be: a thread that another program keeps from its processor has taken
   nothing, so nobody waits for it, and one that is interrupted in the middle holds up its task alone. Threads that have
   nothing to do look out for some microseconds, then sleep. */

#include <pthread.h>
#include <signal.h>

struct job;
typedef void (*work)(struct job *, int worker);
struct job {
  work do_work; /* takes tasks until there are none; worker: a number below `workers` that no other thread has */
  const void *on;
  int64_t tasks, next; /* the next task that nobody has taken */
  int64_t parts;       /* of a layer, at most: fixed by the caller, since `run` may lower `workers` */
  int workers, is_double;
  int32_t *progress; /* of each chunk of rows: twice the number of its tasks that are done, and 1 while somebody has it */
  /* These belong to the pool. */
  int joined, active; /* how many workers have begun, and how many of them have not ended */
  struct job *after;
};

enum { MOST_THREADS = 256, LOOKS = 4000 }; /* looks: about 20 microseconds */
static struct {
  pthread_mutex_t lock;
  pthread_cond_t wanted, done;
  struct job *jobs; /* those that more workers may join */
  int waiting;      /* whether there are any: to be looked at without the lock */
  int threads;
} pool = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0};

INLINE void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* No more workers may join a job. */
static void close_job(struct job *job) {
  for (struct job **at = &pool.jobs; *at; at = &(*at)->after)
    if (*at == job) {
      *at = job->after;
      break;
    }
  __atomic_store_n(&pool.waiting, pool.jobs != 0, __ATOMIC_RELAXED);
}

/* Take part in a job, with the lock held. */
static void join(struct job *job) {
  int worker = job->joined++;
  job->active++;
  if (job->joined == job->workers) close_job(job);
  pthread_mutex_unlock(&pool.lock);
  job->do_work(job, worker);
  pthread_mutex_lock(&pool.lock);
  if (--job->active == 0) pthread_cond_broadcast(&pool.done);
}

static void *work_for_ever(void *nothing) {
  for (;;) {
    for (int i = 0; i < LOOKS && !__atomic_load_n(&pool.waiting, __ATOMIC_RELAXED); i++) relax();
    pthread_mutex_lock(&pool.lock);
    while (!pool.jobs) pthread_cond_wait(&pool.wanted, &pool.lock);
    join(pool.jobs);
    pthread_mutex_unlock(&pool.lock);
  }
  return nothing;
}

/* A child of fork has none of its parent's threads. */
static void forget_threads(void) {
  pthread_mutex_init(&pool.lock, 0), pthread_cond_init(&pool.wanted, 0), pthread_cond_init(&pool.done, 0);
  pool.jobs = 0, pool.waiting = pool.threads = 0;
}

/* Have as many threads as this, where the system gives them. They leave signals to those that were there before. */
static void have_threads(int wanted) {
  pthread_t thread;
#ifndef _WIN32
  sigset_t all, before;
  static int knows_fork;
  if (!knows_fork) knows_fork = !pthread_atfork(0, 0, forget_threads);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
#endif
  for (; pool.threads < wanted && !pthread_create(&thread, 0, work_for_ever, 0); pool.threads++) pthread_detach(thread);
#ifndef _WIN32
  pthread_sigmask(SIG_SETMASK, &before, 0);
#endif
}

/* Do a job on up to job->workers threads, this one among them. */
static void run(struct job *job) {
  if (job->workers > job->tasks) job->workers = (int)job->tasks;
  if (job->workers > MOST_THREADS) job->workers = MOST_THREADS;
  if (job->workers <= 1) {
    job->do_work(job, 0);
    return;
  }
  pthread_mutex_lock(&pool.lock);
  if (pool.threads < job->workers - 1) have_threads(job->workers - 1);
  job->after = pool.jobs, pool.jobs = job;
  __atomic_store_n(&pool.waiting, 1, __ATOMIC_RELAXED);
  for (int i = 1; i < job->workers; i++) pthread_cond_signal(&pool.wanted);
  join(job);
  close_job(job);
  for (int i = 0; i < LOOKS && job->active; i++) { /* they are about to end */
    pthread_mutex_unlock(&pool.lock);
    relax();
    pthread_mutex_lock(&pool.lock);
  }
  while (job->active) pthread_cond_wait(&pool.done, &pool.lock);
  pthread_mutex_unlock(&pool.lock);
}

static int take(struct job *job, int64_t *task) {
  *task = __atomic_fetch_add(&job->next, 1, __ATOMIC_RELAXED);
  return *task < job->tasks;
}

/* Take a chunk that nobody works on, of those that still have some of `steps` tasks before them the one that has the most:
   so all of them end at about the same time. Returns -1 where there is none. */
static int64_t take_chunk(struct job *job, int64_t steps, int64_t *step) {
  for (;;) {
    int64_t best = -1;
    int32_t least = 0;
    for (int64_t i = 0; i < job->tasks; i++) {
      int32_t done = __atomic_load_n(&job->progress[i], __ATOMIC_RELAXED);
      if (done % 2 == 0 && done / 2 < steps && (best < 0 || done < least)) best = i, least = done;
    }
    if (best < 0) return -1;
    *step = least / 2;
    if (__atomic_compare_exchange_n(&job->progress[best], &least, least + 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
      return best;
  }
}

static void give_chunk_back(struct job *job, int64_t chunk, int64_t step) {
  __atomic_store_n(&job->progress[chunk], (int32_t)(2 * (step + 1)), __ATOMIC_RELEASE);
}
