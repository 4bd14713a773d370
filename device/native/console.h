// The console's input: bytes that came while Python was busy, and Ctrl-C.

#ifndef TINYREN_CONSOLE_H
#define TINYREN_CONSOLE_H

#include <stdbool.h>

// Takes a waiting byte from the UART, if there is one: Ctrl-C raises KeyboardInterrupt in the running program, any other is
// kept for the REPL (the newest is lost when 256 wait). True when there was one.
bool console_poll(void);

#endif
