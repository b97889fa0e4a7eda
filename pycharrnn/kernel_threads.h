/* A pool of threads. They run the tasks of a job, then wait for the next job.

   Each thread takes the next task of a job when it has finished one. The thread that calls `run` takes tasks too, from
   the start, and all of them if no other thread is free. So a job never waits for a thread that the operating system
   has not scheduled, and a thread that is preempted delays only the task that it has taken. An idle thread spins for
   SPIN_NANOSECONDS, since the next job often comes soon, then sleeps. */

#include <pthread.h>
#include <signal.h>
#include <time.h>

struct job;
typedef void (*work)(struct job *, int worker);
struct job {
  work do_work; /* takes tasks until there are none; worker: from 0, below max_workers, one thread's alone */
  const void *on;
  int64_t tasks, next; /* next: the first task that nobody has taken */
  int64_t parts;       /* into how many parts a layer's work is divided, by the pass */
  int max_workers;
  int32_t *progress; /* of each chunk of rows: twice its steps that are done, plus 1 while a thread has it */
  /* These belong to the pool. */
  int limit, joined, active; /* workers that may join, that have joined, and that have not ended */
  struct job *after;
};

enum { MAX_THREADS = 256, SPIN_NANOSECONDS = 100000 }; /* longer than Python takes between the passes of a step */
static struct {
  pthread_mutex_t lock;
  pthread_cond_t wanted, done;
  struct job *jobs; /* those that more workers may join */
  int waiting;      /* whether there are any; atomic, read without the lock */
  int threads;
} pool = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0};

INLINE void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

INLINE int64_t nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Spin until *count is nonzero, or zero, or SPIN_NANOSECONDS have passed. By the clock: a pause takes from 5 to 140
   cycles. */
static void spin_until(const int *count, int nonzero) {
  for (int64_t end = nanoseconds() + SPIN_NANOSECONDS;
       (__atomic_load_n(count, __ATOMIC_ACQUIRE) != 0) != nonzero && nanoseconds() < end;)
    relax();
}

/* Let no more workers join a job. Call it with the lock held. */
static void close_job(struct job *job) {
  for (struct job **at = &pool.jobs; *at; at = &(*at)->after)
    if (*at == job) {
      *at = job->after;
      break;
    }
  __atomic_store_n(&pool.waiting, pool.jobs != 0, __ATOMIC_RELAXED);
}

/* Take part in a job. Call it with the lock held; meanwhile the lock is free. The job may be gone once `active` is
   0. */
static void join(struct job *job) {
  int worker = job->joined++;
  __atomic_add_fetch(&job->active, 1, __ATOMIC_RELAXED);
  if (job->joined == job->limit) close_job(job);
  pthread_mutex_unlock(&pool.lock);
  job->do_work(job, worker);
  pthread_mutex_lock(&pool.lock);
  if (__atomic_sub_fetch(&job->active, 1, __ATOMIC_RELEASE) == 0) pthread_cond_broadcast(&pool.done);
}

static void *work_forever(void *nothing) {
  for (;;) {
    spin_until(&pool.waiting, 1);
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

/* Start threads until there are `wanted`, or the system refuses. They block all signals, which the program's own
   threads handle. */
static void start_threads(int wanted) {
  pthread_t thread;
#ifndef _WIN32
  sigset_t all, before;
  static int handles_fork;
  if (!handles_fork) handles_fork = !pthread_atfork(0, 0, forget_threads);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
#endif
  for (; pool.threads < wanted && !pthread_create(&thread, 0, work_forever, 0); pool.threads++) pthread_detach(thread);
#ifndef _WIN32
  pthread_sigmask(SIG_SETMASK, &before, 0);
#endif
}

/* Do a job on up to job->max_workers threads, this one among them. */
static void run(struct job *job) {
  int64_t limit = job->max_workers < MAX_THREADS ? job->max_workers : MAX_THREADS;
  job->limit = (int)(limit < job->tasks ? limit : job->tasks);
  if (job->limit <= 1) {
    job->do_work(job, 0);
    return;
  }
  pthread_mutex_lock(&pool.lock);
  if (pool.threads < job->limit - 1) start_threads(job->limit - 1);
  job->after = pool.jobs, pool.jobs = job;
  __atomic_store_n(&pool.waiting, 1, __ATOMIC_RELAXED);
  for (int i = 1; i < job->limit; i++) pthread_cond_signal(&pool.wanted);
  join(job);
  close_job(job);
  pthread_mutex_unlock(&pool.lock);
  spin_until(&job->active, 0); /* the others are at their last task */
  pthread_mutex_lock(&pool.lock);
  while (__atomic_load_n(&job->active, __ATOMIC_ACQUIRE)) pthread_cond_wait(&pool.done, &pool.lock);
  pthread_mutex_unlock(&pool.lock);
}

static int take(struct job *job, int64_t *task) {
  *task = __atomic_fetch_add(&job->next, 1, __ATOMIC_RELAXED);
  return *task < job->tasks;
}

/* Take the chunk with the most of `steps` steps before it, of those that no thread has: so all of them end at about
   the same time. Returns -1 if there is none. */
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
