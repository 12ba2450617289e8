/* Run the network once and print its outputs: @unit@. */
#include "@prefix@.h"

#include <stdint.h>
#include <zephyr/sys/printk.h>

@buffers@
static uint32_t arena[@upper@_ARENA_BYTES / 4u + 1u];

static void print_number(int32_t number)
{
    printk(" %d", (int)number);
}

int main(void)
{
    uint32_t i;

@fill@
    if (@prefix@_run(@arguments@, arena) != RC_OK) {
        printk("the network refused its buffers\n");
        return 1;
    }
    printk("outputs:");
@print@
    printk("\n");
    return 0;
}
