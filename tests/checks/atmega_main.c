/* Runs a network on an ATmega and measures it, with nothing else in the memory: the inputs wait in flash, and no library
 * prints.
 *
 * Printed, a word a line: the cycles of the first run divided by 1024, the bits of the outputs of all samples, and the
 * most bytes of stack. */
#include "net.h"

#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/pgmspace.h>
#include <avr/sleep.h>
#include <string.h>

#include "inputs.h"

#define PAINT 0xA5u

extern uint8_t __heap_start; /* first byte behind the static memory */

static element input[NET_INPUT_SIZE], output[NET_OUTPUT_SIZE];
static uint8_t arena[NET_ARENA_BYTES + (NET_ARENA_BYTES == 0)]; /* words are aligned to bytes here */

/* Runs between the first instructions, which set the stack pointer, and those that fill the static memory. */
void paint(void) __attribute__((naked, used, section(".init3")));
void paint(void)
{
    uint8_t *byte;
    for (byte = &__heap_start; byte <= (uint8_t *)RAMEND; byte++) {
        *byte = PAINT;
    }
}

static void put(char c)
{
    while ((UCSR0A & (1u << UDRE0)) == 0u) {
    }
    UDR0 = (uint8_t)c;
}

static void show(uint32_t word)
{
    uint8_t digits;
    for (digits = 8u; digits != 0u; digits--, word <<= 4) {
        const uint8_t digit = (uint8_t)(word >> 28);
        put((char)(digit < 10u ? '0' + digit : 'a' - 10 + digit));
    }
    put('\n');
}

static void run(uint16_t sample)
{
    rc_status status;
    uint16_t cycles, i;

    memcpy_P(input, input_bits + sample * NET_INPUT_SIZE, sizeof input);
    TCNT1 = 0u;
    status = net_run(input, output, arena);
    cycles = TCNT1;
    if (sample == 0u) {
        show(cycles);
    }
    for (i = 0u; status == RC_OK && i < NET_OUTPUT_SIZE; i++) {
        element_bits bits;
        memcpy(&bits, output + i, sizeof bits);
        show(bits);
    }
}

int main(void)
{
    const uint8_t *lowest = &__heap_start;
    uint16_t sample;

    UCSR0A = 1u << U2X0;
    UBRR0 = 0u;
    UCSR0B = 1u << TXEN0;
    TCCR1B = 1u << CS12 | 1u << CS10; /* a tick is 1024 cycles */
    for (sample = 0u; sample < SAMPLES; sample++) {
        run(sample);
    }
    while (lowest <= (const uint8_t *)RAMEND && *lowest == PAINT) {
        lowest++;
    }
    show((uint32_t)((uintptr_t)RAMEND + 1u - (uintptr_t)lowest));
    while ((UCSR0A & (1u << TXC0)) == 0u) {
    }
    cli();
    sleep_mode();
    return 0;
}
