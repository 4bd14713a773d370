// MicroPython's unix port: the clock, a TCP connection to TINYREN_LINK (HOST:PORT, HOST in numbers) as the link, the
// system's entropy, its alarm as the watchdog. A reset ends the process, and whoever runs it starts it again. A connection that is gone is made again by the next write; there is no TLS.
//
// Sources: POSIX.1-2008 clock_gettime, poll, socket; getrandom(2).

#if defined(__unix__)

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "console.h"
#include "hw.h"

#define HOST_MAX 64

static int link_fd = -1;

// One of the files that the process makes holds the key; MicroPython cannot say whose a file is.
__attribute__((constructor)) static void keep_files_private(void) {
    umask(077);
}

// The port's own REPL reads the console.
bool console_poll(void) {
    return false;
}

uint64_t hw_now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static bool poll_link(short events, int ms) {
    struct pollfd wanted = { link_fd, events, 0 };
    return poll(&wanted, 1, ms) == 1; // poll(2) passes over a negative descriptor
}

void hw_wait(uint32_t ms, bool link) {
    (void)link;
    poll_link(POLLIN, (int)ms);
}

bool hw_link_pending(void) {
    return poll_link(POLLIN, 0);
}

static void close_link(void) {
    close(link_fd);
    link_fd = -1;
}

static bool find_broker(struct sockaddr_in *address) {
    const char *text = getenv("TINYREN_LINK");
    const char *colon = text ? strrchr(text, ':') : NULL;
    char host[HOST_MAX];
    if (!colon || colon - text >= HOST_MAX) {
        return false;
    }
    memcpy(host, text, colon - text);
    host[colon - text] = 0;
    memset(address, 0, sizeof(*address));
    address->sin_family = AF_INET;
    address->sin_port = htons(atoi(colon + 1));
    return inet_pton(AF_INET, host, &address->sin_addr) == 1;
}

static void open_link(void) {
    struct sockaddr_in address;
    if (!find_broker(&address)) {
        return;
    }
    link_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link_fd >= 0) {
        connect(link_fd, (struct sockaddr *)&address, sizeof(address)); // goes on while we do other things
    }
}

// 0 bytes of what is ready means that the other side has closed.
size_t hw_link_read(uint8_t *buf, size_t n) {
    if (!n || !poll_link(POLLIN, 0)) {
        return 0;
    }
    ssize_t got = recv(link_fd, buf, n, 0);
    if (got <= 0) {
        close_link();
        return 0;
    }
    return got;
}

size_t hw_link_write(const uint8_t *buf, size_t n) {
    if (link_fd < 0) {
        open_link();
    }
    if (!poll_link(POLLOUT, 0)) {
        return 0;
    }
    ssize_t put = send(link_fd, buf, n, MSG_NOSIGNAL);
    if (put < 0) {
        close_link();
        return 0;
    }
    return put;
}

// SIGALRM ends a process that does not expect it.
bool hw_watchdog(uint32_t ms) {
    alarm((ms + 999) / 1000);
    return true;
}

void hw_reset(void) {
    _exit(0);
}

void *hw_retained(void) {
    static uint32_t words[HW_RETAINED_BYTES / 4];
    return words;
}

bool hw_entropy(uint8_t *buf, size_t n) {
    while (n) {
        ssize_t got = getrandom(buf, n, 0);
        if (got <= 0) {
            return false;
        }
        buf += got;
        n -= got;
    }
    return true;
}

#endif
