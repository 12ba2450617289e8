/* Programs of the tests on an ATmega: stdout is UART 0, and when main returns, simavr ends.
 *
 * What main returned is printed, unless it is 0, since simavr has no exit status. */
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
#include <stdio.h>

static uint8_t status_low, status_high;

static int put(char c, FILE *stream)
{
    (void)stream;
    while ((UCSR0A & (1u << UDRE0)) == 0u) {
    }
    UDR0 = (uint8_t)c;
    return 0;
}

static FILE console = FDEV_SETUP_STREAM(put, NULL, _FDEV_SETUP_WRITE);

void open_console(void) __attribute__((constructor));
void open_console(void)
{
    UCSR0A = 1u << U2X0;
    UBRR0 = 0u;
    UCSR0B = 1u << TXEN0;
    stdout = &console;
}

/* Run in this order by exit, which main returns to; its status is still in r24 and r25. */
void keep_status(void) __attribute__((naked, used, section(".fini8")));
void keep_status(void)
{
    __asm__ volatile("sts %0, r24\n\tsts %1, r25" : "=m"(status_low), "=m"(status_high));
}

void power_off(void) __attribute__((naked, used, section(".fini1")));
void power_off(void)
{
    if (status_low != 0u || status_high != 0u) {
        printf("status %d\n", (int)(status_low | (unsigned)status_high << 8));
    }
    while ((UCSR0A & (1u << TXC0)) == 0u) {
    }
    cli();
    sleep_mode();
}
