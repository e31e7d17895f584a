/* What this machine can do at most: port scans with nothing but the system calls they need.
 *
 *   bare syn     SOURCE TARGET COUNT PORTS split|halves    raw IP sockets, sendmmsg and recvmmsg
 *   bare connect -      TARGET COUNT PORTS THREADS         non-blocking connect() and epoll
 *
 * Scans COUNT addresses from TARGET on; PORTS is a file of port numbers, one a line. Prints
 * `OPEN CLOSED SENT SECONDS`. `split`: one thread sends, one receives; `halves`: two threads, each
 * sends and receives a half. Both end when each probe has had its answer, or 250 ms after the last
 * one; nothing is sent again, nothing is paced, nothing is kept but counts: a bound, not a scanner. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 128
#define SILENCE_NS 250000000ULL
#define SOURCE_PORT 61000
#define WINDOW 512

static uint32_t source, target, hosts;
static uint16_t ports[65536];
static uint64_t port_count, total;
static atomic_ulong open_count, closed_count, sent_count;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

struct probe {
    struct iphdr ip;
    struct tcphdr tcp;
    uint8_t mss[4];
} __attribute__((packed));

static uint32_t fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static uint32_t sum16(const void *data, size_t length)
{
    const uint16_t *word = data;
    uint32_t sum = 0;
    for (size_t i = 0; i < length / 2; i++)
        sum += word[i];
    return sum;
}

struct half {
    int tx, rx;
    uint16_t port;        /* answers come to it */
    uint64_t first, last; /* probes of this half */
    uint64_t answered, heard;
    struct probe probe[BATCH];
    struct sockaddr_in to[BATCH];
    struct iovec tx_iov[BATCH], rx_iov[BATCH];
    struct mmsghdr tx_msg[BATCH], rx_msg[BATCH];
    uint8_t rx_buffer[BATCH][64];
    uint32_t constant; /* of the TCP checksum, all but addresses and ports of the target */
};

/* TCP to our port, SYN-ACK or RST. A raw socket's packets begin with the IP header. */
static void attach_filter(int fd, uint16_t port)
{
    struct sock_filter code[] = {
        {0xb1, 0, 0, 0},          /* ldx 4 * ([0] & 15) */
        {0x48, 0, 0, 2},          /* ldh [x + 2]  destination port */
        {0x15, 0, 3, port},       /* jeq port */
        {0x50, 0, 0, 13},         /* ldb [x + 13]  flags */
        {0x45, 0, 1, 0x14},       /* jset RST | ACK */
        {0x06, 0, 0, 64},
        {0x06, 0, 0, 0},
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program))
        die("SO_ATTACH_FILTER");
}

static void prepare(struct half *h, uint16_t port, uint64_t first, uint64_t last)
{
    int one = 1, size = 256 << 20;
    h->port = port;
    h->first = first;
    h->last = last;
    h->rx = socket(AF_INET, SOCK_RAW, IPPROTO_TCP);
    h->tx = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    if (h->rx < 0 || h->tx < 0)
        die("raw socket");
    attach_filter(h->rx, port);
    setsockopt(h->rx, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    setsockopt(h->tx, IPPROTO_IP, IP_HDRINCL, &one, sizeof one);
    if (hosts == 1) { /* the route is looked up once */
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(target)};
        if (connect(h->tx, (struct sockaddr *)&to, sizeof to))
            die("connect");
    }
    for (int i = 0; i < BATCH; i++) {
        struct probe *p = &h->probe[i];
        p->ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP,
                               .tot_len = htons(sizeof *p), .frag_off = htons(0x4000), .saddr = htonl(source)};
        p->tcp = (struct tcphdr){.source = htons(port), .seq = htonl(0x1badcafe), .doff = 6, .syn = 1, .window = htons(1024)};
        memcpy(p->mss, "\x02\x04\x05\xb4", 4);
        h->tx_iov[i] = (struct iovec){p, sizeof *p};
        h->tx_msg[i].msg_hdr = (struct msghdr){.msg_iov = &h->tx_iov[i], .msg_iovlen = 1};
        h->to[i].sin_family = AF_INET;
        if (hosts > 1) {
            h->tx_msg[i].msg_hdr.msg_name = &h->to[i];
            h->tx_msg[i].msg_hdr.msg_namelen = sizeof h->to[i];
        }
        h->rx_iov[i] = (struct iovec){h->rx_buffer[i], 64};
        h->rx_msg[i].msg_hdr = (struct msghdr){.msg_iov = &h->rx_iov[i], .msg_iovlen = 1};
    }
    struct probe *p = &h->probe[0];
    h->constant = sum16(&p->tcp, sizeof p->tcp + 4) + sum16(&p->ip.saddr, 4) + htons(IPPROTO_TCP) + htons(sizeof p->tcp + 4);
}

/* Sends the next batch; 0 when there is none left. */
static int send_batch(struct half *h)
{
    int n = 0;
    for (; n < BATCH && h->first < h->last; n++, h->first++) {
        struct probe *p = &h->probe[n];
        /* Neighbouring probes go to different hosts, as a scanner would have it. */
        p->ip.daddr = htonl(target + h->first % hosts);
        p->tcp.dest = htons(ports[h->first / hosts]);
        p->tcp.check = ~fold(h->constant + sum16(&p->ip.daddr, 4) + p->tcp.dest);
        h->to[n].sin_addr.s_addr = p->ip.daddr;
    }
    for (int done = 0; done < n;) {
        int r = sendmmsg(h->tx, h->tx_msg + done, n - done, 0);
        if (r < 0 && errno != ENOBUFS && errno != EAGAIN)
            die("sendmmsg");
        done += r > 0 ? r : 0;
    }
    sent_count += n;
    return n;
}

static int receive_batch(struct half *h, int flags)
{
    int n = recvmmsg(h->rx, h->rx_msg, BATCH, flags, NULL);
    uint64_t opened = 0, closed = 0;
    for (int i = 0; i < n; i++) {
        const uint8_t *b = h->rx_buffer[i];
        const struct tcphdr *t = (const void *)(b + (b[0] & 15) * 4);
        if (t->rst)
            closed++;
        else if (t->syn && ntohl(t->ack_seq) == 0x1badcafe + 1)
            opened++;
    }
    open_count += opened;
    closed_count += closed;
    h->answered += opened + closed;
    if (n > 0)
        h->heard = now_ns();
    return n;
}

static void drain(struct half *h, uint64_t wanted)
{
    struct pollfd p = {.fd = h->rx, .events = POLLIN};
    h->heard = now_ns();
    while (h->answered < wanted && now_ns() - h->heard < SILENCE_NS)
        if (poll(&p, 1, 50) > 0)
            receive_batch(h, MSG_DONTWAIT);
}

static void *send_all(void *argument)
{
    while (send_batch(argument))
        ;
    return NULL;
}

static void *a_half(void *argument)
{
    struct half *h = argument;
    uint64_t wanted = h->last - h->first;
    while (send_batch(h))
        receive_batch(h, MSG_DONTWAIT);
    drain(h, wanted);
    return NULL;
}

static void syn(const char *layout)
{
    static struct half h[2];
    pthread_t thread;
    if (!strcmp(layout, "split")) {
        prepare(&h[0], SOURCE_PORT, 0, total);
        pthread_create(&thread, NULL, send_all, &h[0]);
        while (sent_count < total) {
            struct pollfd p = {.fd = h[0].rx, .events = POLLIN};
            if (poll(&p, 1, 10) > 0)
                receive_batch(&h[0], MSG_DONTWAIT);
        }
        drain(&h[0], total);
    } else {
        prepare(&h[0], SOURCE_PORT, 0, total / 2);
        prepare(&h[1], SOURCE_PORT + 1, total / 2, total);
        pthread_create(&thread, NULL, a_half, &h[0]);
        a_half(&h[1]);
    }
    pthread_join(thread, NULL);
}

struct stride {
    uint64_t first, step;
};

static const struct linger AWAY = {1, 0};

/* Whether a socket that is connected is connected to itself: on loopback its own port may be the one
 * that is asked for. */
static int to_itself(int fd, const struct sockaddr_in *to)
{
    struct sockaddr_in own;
    socklen_t length = sizeof own;
    return getsockname(fd, (struct sockaddr *)&own, &length) == 0 && own.sin_port == to->sin_port &&
           own.sin_addr.s_addr == to->sin_addr.s_addr;
}

static void count_open(int fd, const struct sockaddr_in *to)
{
    if (to_itself(fd, to))
        closed_count++;
    else
        open_count++;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &AWAY, sizeof AWAY);
    close(fd);
}

/* One connect(), and one more that asks what became of it: on a path with no delay the answer has
 * come by then, and a socket that was refused can be used again. *SPARE is that socket, or -1.
 * 1: it is on its way. */
static int begin(int epoll, uint64_t i, int *spare)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(target + i % hosts), .sin_port = htons(ports[i / hosts])};
    int fd = *spare >= 0 ? *spare : socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0)
        die("socket");
    *spare = -1;
    sent_count++;
    int r = connect(fd, (struct sockaddr *)&to, sizeof to);
    if (r && errno == EINPROGRESS)
        r = connect(fd, (struct sockaddr *)&to, sizeof to);
    if (r == 0) {
        count_open(fd, &to);
    } else if (errno == EALREADY || errno == EINPROGRESS) {
        struct epoll_event e = {.events = EPOLLOUT | EPOLLONESHOT, .data.fd = fd};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
        return 1;
    } else {
        closed_count++;
        *spare = fd;
    }
    return 0;
}

static void end(int fd, uint32_t events)
{
    struct sockaddr_in to;
    socklen_t length = sizeof to;
    if (!(events & (EPOLLERR | EPOLLHUP)) && getpeername(fd, (struct sockaddr *)&to, &length) == 0) {
        count_open(fd, &to);
        return;
    }
    closed_count++;
    close(fd);
}

static void *connect_some(void *argument)
{
    struct stride *s = argument;
    struct epoll_event events[256];
    int epoll = epoll_create1(0);
    uint64_t next = s->first;
    int waiting = 0, spare = -1;
    while (next < total || waiting) {
        for (int started = 0; next < total && waiting < WINDOW && started < 64; next += s->step, started++)
            waiting += begin(epoll, next, &spare);
        if (!waiting)
            continue;
        int n = epoll_wait(epoll, events, 256, next < total && waiting < WINDOW ? 0 : 250);
        if (n == 0 && next >= total)
            break;
        for (int i = 0; i < n; i++, waiting--)
            end(events[i].data.fd, events[i].events);
    }
    return NULL;
}

static void connects(int threads)
{
    pthread_t thread[64];
    struct stride part[64];
    for (int i = 0; i < threads; i++) {
        part[i] = (struct stride){i, threads};
        pthread_create(&thread[i], NULL, connect_some, &part[i]);
    }
    for (int i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
}

int main(int argc, char **argv)
{
    struct rlimit files = {16384, 16384};
    if (argc != 7) {
        fprintf(stderr, "usage: bare syn|connect SOURCE TARGET COUNT PORTS split|halves|THREADS\n");
        return 2;
    }
    setrlimit(RLIMIT_NOFILE, &files);
    source = ntohl(inet_addr(argv[2]));
    target = ntohl(inet_addr(argv[3]));
    hosts = atoi(argv[4]);
    FILE *list = fopen(argv[5], "r");
    unsigned port;
    if (!list)
        die(argv[5]);
    while (port_count < 65536 && fscanf(list, "%u", &port) == 1)
        ports[port_count++] = port;
    total = port_count * hosts;
    uint64_t began = now_ns();
    if (!strcmp(argv[1], "syn"))
        syn(argv[6]);
    else
        connects(atoi(argv[6]));
    printf("%lu %lu %lu %.4f\n", open_count, closed_count, sent_count, (now_ns() - began) / 1e9);
}
