/* A line with delay, jitter and loss between two network namespaces, for kernels without sch_netem.
 *
 *   delay NS_A TAP_A NS_B TAP_B DELAY_MS JITTER_MS LOSS_PERCENT
 *
 * Makes a TAP device in each of the namespaces (names in /run/netns) and carries frames between them;
 * prints "ready" once both are there and ends on a signal, or when its parent ends. Each frame waits
 * DELAY +- JITTER (uniform; frames overtake each other, as they do on real paths) and is lost with
 * LOSS percent, both in each direction of its own. Two queues a device, which the kernel fills by
 * flow, and a thread for each queue and direction with a wheel of 250 us slots: the one that delivers
 * does the work of the receiver's network stack, too. Carries more than 200,000 frames a second in one
 * direction. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SLOT_NS 250000ULL
#define SLOTS 16384 /* 4 s: the longest delay */
#define FRAME 2048  /* more than an MTU of 1,500 with its header */
#define IN_ONE_GO 256
#define QUEUES 2

struct frame {
    struct frame *next;
    uint32_t length;
    uint8_t bytes[];
};

struct line {
    int from, to;
    uint64_t delay, jitter; /* ns */
    uint32_t loss;          /* of 2^32 */
    uint64_t seed, waiting, at;
    struct frame *head[SLOTS], *tail[SLOTS];
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static uint64_t random64(uint64_t *s)
{
    uint64_t z = (*s += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static void deliver(struct line *l, uint64_t now)
{
    uint64_t until = now / SLOT_NS;
    for (; l->at <= until; l->at++) {
        size_t slot = l->at % SLOTS;
        struct frame *f = l->head[slot];
        l->head[slot] = l->tail[slot] = NULL;
        while (f) {
            struct frame *next = f->next;
            /* EIO and the like: the other side is down, and the frame lost, as on a wire. */
            if (write(l->to, f->bytes, f->length) < 0 && errno == EBADFD)
                exit(1);
            free(f);
            l->waiting--;
            f = next;
        }
    }
    l->at = until; /* what comes now with no delay left goes into this slot */
}

static int take(struct line *l, uint64_t now)
{
    uint8_t buffer[FRAME];
    ssize_t n = read(l->from, buffer, sizeof buffer);
    if (n <= 0)
        return 0;
    uint64_t r = random64(&l->seed);
    if ((uint32_t)r < l->loss)
        return 1;
    uint64_t spread = l->jitter ? random64(&l->seed) % (2 * l->jitter + 1) : 0;
    uint64_t slot = (now + l->delay - l->jitter + spread) / SLOT_NS;
    if (slot < l->at)
        slot = l->at;
    slot %= SLOTS;
    struct frame *f = malloc(sizeof *f + n);
    if (!f)
        return 1;
    f->next = NULL;
    f->length = n;
    memcpy(f->bytes, buffer, n);
    if (l->tail[slot])
        l->tail[slot]->next = f;
    else
        l->head[slot] = f;
    l->tail[slot] = f;
    l->waiting++;
    return 1;
}

static void *carry(void *argument)
{
    struct line *l = argument;
    struct pollfd p = {.fd = l->from, .events = POLLIN};
    l->at = now_ns() / SLOT_NS;
    for (;;) {
        uint64_t now = now_ns();
        deliver(l, now);
        int i = 0;
        while (i < IN_ONE_GO && take(l, now))
            i++;
        if (i == IN_ONE_GO)
            continue;
        struct timespec slot = {0, SLOT_NS};
        ppoll(&p, 1, l->waiting ? &slot : NULL, NULL);
    }
    return NULL;
}

static void open_tap(const char *namespace, const char *name, int queues[QUEUES])
{
    char path[256];
    snprintf(path, sizeof path, "/run/netns/%s", namespace);
    int ns = open(path, O_RDONLY | O_CLOEXEC);
    if (ns < 0 || setns(ns, CLONE_NEWNET)) {
        perror(path);
        exit(1);
    }
    close(ns);
    for (int i = 0; i < QUEUES; i++) {
        struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE};
        snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
        queues[i] = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (queues[i] < 0 || ioctl(queues[i], TUNSETIFF, &r)) {
            perror("/dev/net/tun");
            exit(1);
        }
    }
}

int main(int argc, char **argv)
{
    static struct line lines[2 * QUEUES];
    int near[QUEUES], far[QUEUES];
    if (argc != 8) {
        fprintf(stderr, "usage: delay NS_A TAP_A NS_B TAP_B DELAY_MS JITTER_MS LOSS_PERCENT\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    /* It stands for the network, which does not wait for a processor. */
    setpriority(PRIO_PROCESS, 0, -20);
    double delay = atof(argv[5]), jitter = atof(argv[6]), loss = atof(argv[7]);
    if (jitter > delay || delay + jitter > 3900 || loss < 0 || loss > 99) {
        fprintf(stderr, "delay: JITTER <= DELAY, both together < 3900 ms, LOSS 0 to 99\n");
        return 2;
    }
    open_tap(argv[1], argv[2], near);
    open_tap(argv[3], argv[4], far);
    uint64_t seed = now_ns();
    for (int i = 0; i < 2 * QUEUES; i++) {
        int there = i % 2, queue = i / 2;
        lines[i] = (struct line){
            .from = there ? near[queue] : far[queue],
            .to = there ? far[queue] : near[queue],
            .delay = delay * 1e6,
            .jitter = jitter * 1e6,
            .loss = loss / 100 * 4294967295.0,
            .seed = random64(&seed),
        };
    }
    puts("ready");
    fflush(stdout);
    for (int i = 1; i < 2 * QUEUES; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, carry, &lines[i]))
            return 1;
    }
    carry(&lines[0]);
}
