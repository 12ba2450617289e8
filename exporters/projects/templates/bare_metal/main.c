/* Run the network once and print its outputs, a line each: @unit@. */
#include "@prefix@.h"

#include <stdint.h>

@buffers@
static uint32_t arena[@upper@_ARENA_BYTES / 4u + 1u];

/* Print through the debugger (semihosting); replace it by the part's UART. */
static void print(const char *text)
{
    register uint32_t operation __asm__("r0") = 0x04u; /* SYS_WRITE0 */
    register const char *argument __asm__("r1") = text;

    __asm__ volatile("bkpt 0xAB" : "+r"(operation) : "r"(argument) : "memory");
}

static void print_number(int32_t number)
{
    char text[13];
    char *at = text + sizeof text - 1;
    uint32_t rest = number < 0 ? 0u - (uint32_t)number : (uint32_t)number;

    *at = '\0';
    *--at = '\n';
    do {
        *--at = (char)('0' + rest % 10u);
        rest /= 10u;
    } while (rest != 0u);
    if (number < 0) {
        *--at = '-';
    }
    print(at);
}

int main(void)
{
    uint32_t i;

@fill@
    if (@prefix@_run(@arguments@, arena) != RC_OK) {
        print("the network refused its buffers\n");
        return 1;
    }
@print@
    return 0;
}
