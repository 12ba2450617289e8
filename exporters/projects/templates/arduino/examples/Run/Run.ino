// Run the network once and print its outputs.
#include <@prefix@.h>

@buffers@
static uint32_t arena[@upper@_ARENA_BYTES / 4u + 1u];

void setup()
{
    uint32_t i;

    Serial.begin(115200);
@fill@
    if (@prefix@_run(@arguments@, arena) != RC_OK) {
        Serial.println("the network refused its buffers");
        return;
    }
@serial@
}

void loop()
{
}
