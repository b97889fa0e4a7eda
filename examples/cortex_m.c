/* A model on a Cortex-M4 without an operating system: startup, output, and a text. See docs/microcontrollers.md.

   Output goes to a debugger or emulator by semihosting. For a board of your own, keep `main`, and take its startup code,
   linker script and serial port. */

#include <stdint.h>
#include <string.h>

#define MODEL_HEADER
#include "model.c"

static struct model_state state;

enum { WRITE_CHARACTER = 3, EXIT = 0x18, EXIT_SUCCESS = 0x20026, CHARACTERS = 200 };

/* Ask the debugger to do something. */
static void semihosting(int operation, const void *argument) {
  register int r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

static void put(char character) { semihosting(WRITE_CHARACTER, &character); }

static void put_text(const char *text) {
  while (*text) put(*text++);
}

static void put_number(uint32_t number) {
  if (number >= 10) put_number(number / 10);
  put((char)('0' + number % 10));
}

/* A timer of 24 bits that counts down, 25 million times a second on this board. */
#define TIMER_CONTROL (*(volatile uint32_t *)0xe000e010)
#define TIMER_RELOAD (*(volatile uint32_t *)0xe000e014)
#define TIMER (*(volatile uint32_t *)0xe000e018)

#ifdef MODEL_HAS_ITEMS
#define BEGINNING "" /* of each item; for a model with labels, one of them and a tab, as in "French\t" */
#else
#define BEGINNING "\n" /* a text begins as a line does */
#endif

static void read_text(const char *text) {
  int id;
  for (; *text && (id = model_find(text)) >= 0; text += model_vocabulary[id].size) model_feed(&state, id);
}

int main(void) {
  uint32_t ticks = 0;
  int k, at;
  model_start(&state, 5);
  read_text(BEGINNING);
  TIMER_RELOAD = 0xffffff;
  TIMER = 0;
  TIMER_CONTROL = 5; /* on, at the processor's clock */
  for (k = 0; k < CHARACTERS; k++) {
    uint32_t start = TIMER;
    int id = model_next(&state, 0.5F);
    ticks += (start - TIMER) & 0xffffff;
    if (id < 0) break;
#ifdef MODEL_HAS_ITEMS
    if (id == MODEL_END) {
      put('\n');
      read_text(BEGINNING);
      continue;
    }
#endif
    for (at = 0; at < model_vocabulary[id].size; at++) put(model_vocabulary[id].bytes[at]);
  }
  put_text("\nticks for each character: ");
  put_number(ticks / CHARACTERS);
  put('\n');
  return 0;
}

/* -- startup ------------------------------------------------------------------------------------------------------- */

extern uint32_t bss_start[], bss_end[], stack_top[]; /* of cortex_m.ld */

static void reset(void) {
  *(volatile uint32_t *)0xe000ed88 |= 0xf << 20; /* allow the floating point unit */
  __asm__ volatile("dsb; isb");
  memset(bss_start, 0, (size_t)((char *)bss_end - (char *)bss_start));
  main();
  semihosting(EXIT, (const void *)EXIT_SUCCESS);
  for (;;) {
  }
}

static void fault(void) {
  put_text("fault\n");
  semihosting(EXIT, (const void *)0);
  for (;;) {
  }
}

__attribute__((section(".vectors"), used)) static const void *const vectors[] = {
    stack_top, (const void *)reset, (const void *)fault, (const void *)fault, (const void *)fault, (const void *)fault};
