/* From reset to main: vectors, FPU, memory. */
#include <stdint.h>

extern uint32_t stack_top[], data_begin[], data_end[], data_load[], bss_begin[], bss_end[];
int main(void);
void start(void);
void stop(int status);

#define CPACR (*(volatile uint32_t *)0xE000ED88u) /* access to coprocessors */

/* Tell a debugger, or QEMU, that the program is over; on its own, the part waits. */
void stop(int status)
{
    register uint32_t operation __asm__("r0") = 0x18u; /* SYS_EXIT */
    register uint32_t reason __asm__("r1") = status == 0 ? 0x20026u : 0x20023u;

    __asm__ volatile("bkpt 0xAB" : : "r"(operation), "r"(reason) : "memory");
    for (;;) {
    }
}

void start(void)
{
    const uint32_t *from = data_load;
    uint32_t *to;

    CPACR |= 0xFu << 20;
    __asm__ volatile("dsb\n\tisb");
    for (to = data_begin; to != data_end; to++) {
        *to = *from++;
    }
    for (to = bss_begin; to != bss_end; to++) {
        *to = 0u;
    }
    stop(main());
}

static void fault(void)
{
    stop(1);
}

typedef void (*vector)(void);

/* The first entries of the table; interrupts of the part follow them. */
static const struct {
    uint32_t *stack;
    vector reset, nmi, hard_fault, memory_fault, bus_fault, usage_fault;
} vectors __attribute__((section(".vectors"), used)) = {stack_top, start, fault, fault, fault, fault, fault};
