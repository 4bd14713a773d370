// The stream of EDIL.md: ChaCha20's blocks 0, 1, 2, ... as words, under a key and a nonce of zeros. It encrypts nothing.

#ifndef TINYREN_CHACHA20_H
#define TINYREN_CHACHA20_H

#include <stdint.h>

#define REN_STREAM_WORDS 16

typedef struct {
    uint32_t key[8];
    uint32_t counter;                 // of the next block
    uint32_t begun[16];               // the state after the quarter rounds that do not see the counter
    uint32_t words[REN_STREAM_WORDS]; // the block that ren_stream_next made
} ren_stream;

void ren_stream_start(ren_stream *stream, const uint8_t key[32]);
void ren_stream_next(ren_stream *stream);

#endif
