/* The least that a SockJS server can do: the practical limit of a machine.
 *
 *     cc -O2 -o limit limit.c
 *     ./limit PORT [--fault drop|dup|swap|corrupt]
 *
 * /echo and /broadcast over websocket, xhr, xhr_send and xhr_streaming. One thread, epoll. It has no
 * heartbeats, expiry, limits, origins or validation, and handles no error that a benchmark does not
 * make: not to be served to anybody. A broadcast is encoded once, and what is broadcast within one
 * turn of the loop reaches each receiver as one frame.
 *
 * With --fault every 50th broadcast goes wrong, to test that the load generator notices.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;

typedef struct Buf {
    char *p;
    u32 n, cap;
} Buf;
typedef struct Sess {
    char sid[40];
    struct Sess *hnext;
    int bcast, opened;
    Buf q; /* queued items, comma separated */
    struct Conn *parked;
    int streaming;
    u32 streamed;
} Sess;
typedef struct Conn {
    int fd, ws, bcast, want_out;
    u32 bidx; /* place in the subscriber list */
    Buf in, out;
    Sess *parked;
} Conn;

static int ep;
static Conn **subs;
static u32 nsubs, csubs;
static Sess **xsubs;
static u32 nxsubs, cxsubs;
static Sess *htab[1 << 15];
static Buf tick; /* what was broadcast in this turn of the loop */
static char rd[256 * 1024], scratch[300 * 1024];

static void put(Buf *b, const void *p, size_t n)
{
    if (b->n + n > b->cap)
        b->p = realloc(b->p, b->cap = (u32)((b->n + n) * 2));
    memcpy(b->p + b->n, p, n);
    b->n += (u32)n;
}
static void sha1(const u8 *in, size_t n, u8 out[20])
{
    u32 h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    u8 m[192] = {0};
    size_t tot = ((n + 72) / 64) * 64;
    memcpy(m, in, n);
    m[n] = 0x80;
    m[tot - 1] = (u8)(n * 8), m[tot - 2] = (u8)((n * 8) >> 8);
    for (size_t o = 0; o < tot; o += 64) {
        u32 w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int i = 0; i < 80; i++) {
            if (i < 16)
                w[i] = (u32)m[o + 4 * i] << 24 | (u32)m[o + 4 * i + 1] << 16 |
                       (u32)m[o + 4 * i + 2] << 8 | m[o + 4 * i + 3];
            else {
                u32 x = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16];
                w[i] = x << 1 | x >> 31;
            }
            u32 f = i < 20   ? (b & c) | (~b & d)
                    : i < 40 ? b ^ c ^ d
                    : i < 60 ? (b & c) | (b & d) | (c & d)
                             : b ^ c ^ d;
            u32 k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
            u32 t = (a << 5 | a >> 27) + f + e + k + w[i];
            e = d, d = c, c = b << 30 | b >> 2, b = a, a = t;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    for (int i = 0; i < 20; i++)
        out[i] = (u8)(h[i / 4] >> (24 - 8 * (i & 3)));
}
static void b64_20(const u8 in[20], char *o)
{
    static const char t[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < 21; i += 3) {
        u32 v = (u32)in[i] << 16 | (u32)in[i + 1] << 8 | (i + 2 < 20 ? in[i + 2] : 0);
        *o++ = t[v >> 18], *o++ = t[v >> 12 & 63], *o++ = t[v >> 6 & 63], *o++ = t[v & 63];
    }
    o[-1] = '=';
    *o = 0;
}
static void want(Conn *c, int out)
{
    if (c->want_out == out)
        return;
    c->want_out = out;
    struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0u), .data.ptr = c};
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
}
static void csend(Conn *c, const char *p, size_t n)
{
    if (c->out.n == 0) {
        ssize_t r = send(c->fd, p, n, MSG_NOSIGNAL);
        if (r == (ssize_t)n)
            return;
        if (r > 0)
            p += r, n -= (size_t)r;
    }
    put(&c->out, p, n);
    want(c, 1);
}
static size_t ws_head(char *o, size_t len)
{
    o[0] = (char)0x81;
    if (len < 126) {
        o[1] = (char)len;
        return 2;
    }
    if (len < 65536) {
        o[1] = 126, o[2] = (char)(len >> 8), o[3] = (char)len;
        return 4;
    }
    o[1] = 127;
    for (int i = 0; i < 8; i++)
        o[2 + i] = (char)((u64)len >> (56 - 8 * i));
    return 10;
}
/* frame a[items] into o */
static size_t ws_array(char *o, const char *items, size_t n)
{
    size_t h = ws_head(o, n + 3);
    o[h] = 'a', o[h + 1] = '[';
    memcpy(o + h + 2, items, n);
    o[h + 2 + n] = ']';
    return h + n + 3;
}
static Sess *find(const char *sid, size_t n, int create)
{
    u32 h = 2166136261u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (u8)sid[i]) * 16777619u;
    Sess **b = &htab[h & ((1 << 15) - 1)];
    for (Sess *s = *b; s; s = s->hnext)
        if (!strncmp(s->sid, sid, n) && !s->sid[n])
            return s;
    if (!create || n >= sizeof((Sess *)0)->sid)
        return NULL;
    Sess *s = calloc(1, sizeof *s);
    memcpy(s->sid, sid, n);
    s->hnext = *b;
    return *b = s;
}
#define HDRS                                                                                       \
    "Content-Type: application/javascript; charset=UTF-8\r\nAccess-Control-Allow-Origin: *\r\n"    \
    "Cache-Control: no-store, no-cache, no-transform, must-revalidate, max-age=0\r\n"
static void poll_answer(Conn *c, const char *body, size_t n)
{ /* body without the newline */
    static char o[300 * 1024];
    size_t h = (size_t)sprintf(o, "HTTP/1.1 200 OK\r\n" HDRS "Content-Length: %zu\r\n\r\n", n + 1);
    memcpy(o + h, body, n);
    o[h + n] = '\n';
    csend(c, o, h + n + 1);
}
static void flush_xhr(Sess *s)
{
    static char o[300 * 1024];
    Conn *c = s->parked;
    if (!c || !s->q.n)
        return;
    if (!s->streaming) {
        o[0] = 'a', o[1] = '[';
        memcpy(o + 2, s->q.p, s->q.n);
        o[2 + s->q.n] = ']';
        poll_answer(c, o, s->q.n + 3);
        s->parked = NULL, c->parked = NULL;
    } else {
        size_t h = (size_t)sprintf(o, "%x\r\na[", s->q.n + 4);
        memcpy(o + h, s->q.p, s->q.n);
        h += s->q.n;
        memcpy(o + h, "]\n\r\n", 4);
        h += 4;
        s->streamed += s->q.n + 4;
        if (s->streamed >= 128 * 1024) {
            memcpy(o + h, "0\r\n\r\n", 5);
            h += 5;
            s->parked = NULL, c->parked = NULL;
        }
        csend(c, o, h);
    }
    s->q.n = 0;
}
static void queue_item(Buf *q, const char *items, size_t n)
{
    if (q->n)
        put(q, ",", 1);
    put(q, items, n);
}
static void broadcast1(const char *items, size_t n)
{
    static char f[300 * 1024];
    size_t l = ws_array(f, items, n);
    for (u32 i = 0; i < nsubs; i++)
        csend(subs[i], f, l);
    for (u32 i = 0; i < nxsubs; i++) {
        queue_item(&xsubs[i]->q, items, n);
        flush_xhr(xsubs[i]);
    }
}
static const char *fault = "";
static void broadcast(char *items, size_t n)
{
    static u32 k;
    static Buf held;
    if (!*fault) {
        broadcast1(items, n);
        return;
    }
    int hit = ++k % 50 == 0;
    if (hit && !strcmp(fault, "drop"))
        return;
    if (hit && !strcmp(fault, "swap")) {
        held.n = 0;
        put(&held, items, n);
        return;
    }
    if (hit && !strcmp(fault, "corrupt"))
        items[n - 3] ^= 1;
    broadcast1(items, n);
    if (hit && !strcmp(fault, "dup"))
        broadcast1(items, n);
    if (held.n) {
        broadcast1(held.p, held.n);
        held.n = 0;
    }
}
static void drop(Conn *c)
{
    if (c->ws && c->bcast) {
        subs[c->bidx] = subs[--nsubs];
        subs[c->bidx]->bidx = c->bidx;
    }
    if (c->parked)
        c->parked->parked = NULL;
    close(c->fd);
    free(c->in.p), free(c->out.p), free(c);
}
/* text is ["..",".."]: hand the items to the service */
static void got(Conn *c, Sess *s, int bcast, char *t, size_t n, size_t *echo)
{
    if (n < 3 || t[0] != '[')
        return;
    if (bcast) {
        queue_item(&tick, t + 1, n - 2);
    } else if (s) {
        queue_item(&s->q, t + 1, n - 2);
        flush_xhr(s);
    } else {
        (void)c;
        *echo += ws_array(scratch + *echo, t + 1, n - 2);
    }
}
static long parse_ws(Conn *c, u8 *p, size_t n)
{
    size_t off = 0, echo = 0;
    while (n - off >= 6) {
        u8 *f = p + off;
        size_t len = f[1] & 127, h = 2;
        if (len == 126) {
            len = (size_t)f[2] << 8 | f[3];
            h = 4;
        } else if (len == 127) {
            if (n - off < 14)
                break;
            len = 0;
            for (int i = 0; i < 8; i++)
                len = len << 8 | f[2 + i];
            h = 10;
        }
        if (n - off < h + 4 + len)
            break;
        u8 *m = f + h, *d = m + 4;
        u64 k;
        u32 k4;
        memcpy(&k4, m, 4);
        k = (u64)k4 << 32 | k4;
        size_t i = 0;
        for (; i + 8 <= len; i += 8) {
            u64 v;
            memcpy(&v, d + i, 8);
            v ^= k;
            memcpy(d + i, &v, 8);
        }
        for (; i < len; i++)
            d[i] ^= m[i & 3];
        off += h + 4 + len;
        int op = f[0] & 15;
        if (op == 1) {
            if (echo + len + 16 > sizeof scratch) {
                csend(c, scratch, echo);
                echo = 0;
            }
            got(c, NULL, c->bcast, (char *)d, len, &echo);
        } else if (op == 8) {
            csend(c, "\x88\x02\x03\xe8", 4);
            shutdown(c->fd, SHUT_WR);
            return -1;
        }
    }
    if (echo)
        csend(c, scratch, echo);
    return (long)off;
}
static long parse_http(Conn *c, char *p, size_t n)
{
    size_t off = 0;
    while (off < n && !c->ws) {
        char *q = p + off, *e = memmem(q, n - off, "\r\n\r\n", 4);
        if (!e)
            break;
        size_t cl = 0;
        char *key = NULL;
        for (char *l = memchr(q, '\n', (size_t)(e - q)); l && l < e;
             l = memchr(l, '\n', (size_t)(e + 2 - l))) {
            l++;
            if ((*l | 32) == 'c' && !strncasecmp(l, "content-length:", 15))
                cl = (size_t)atol(l + 15);
            else if ((*l | 32) == 's' && !strncasecmp(l, "sec-websocket-key:", 18)) {
                key = l + 18;
                while (*key == ' ')
                    key++;
            }
            if (l >= e)
                break;
        }
        size_t hl = (size_t)(e - q) + 4;
        if (n - off < hl + cl)
            break;
        char *path = memchr(q, ' ', hl), *seg[4] = {0}, *x;
        int ns = 0;
        if (!path)
            return -1;
        for (x = ++path; *x != ' ' && x < e; x++)
            if (*x == '/' && ns < 4)
                seg[ns++] = x + 1;
        char *end = x, *body = q + hl;
        off += hl + cl;
        if (ns < 4) {
            csend(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 45);
            continue;
        }
        int bc = seg[0][0] == 'b';
        size_t tl = (size_t)(end - seg[3]);
        if (tl == 9 && !memcmp(seg[3], "websocket", 9) && key) {
            char t[128], a[32], o[256];
            u8 d[20];
            memcpy(t, key, 24);
            memcpy(t + 24, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
            sha1((u8 *)t, 60, d);
            b64_20(d, a);
            int k = sprintf(o,
                            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                            "Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n\x81\x01o",
                            a);
            csend(c, o, (size_t)k);
            c->ws = 1, c->bcast = bc;
            if (bc) {
                if (nsubs == csubs)
                    subs = realloc(subs, (csubs = csubs * 2 + 64) * sizeof *subs);
                c->bidx = nsubs;
                subs[nsubs++] = c;
            }
            break;
        }
        int send_ = tl == 8 && !memcmp(seg[3], "xhr_send", 8),
            st = tl == 13 && !memcmp(seg[3], "xhr_streaming", 13);
        Sess *s = find(seg[2], (size_t)(seg[3] - 1 - seg[2]), !send_);
        if (!s) {
            csend(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 45);
            continue;
        }
        if (send_) {
            static const char r[] = "HTTP/1.1 204 No Content\r\nContent-Type: text/plain; "
                                    "charset=UTF-8\r\nAccess-Control-Allow-Origin: *\r\n\r\n";
            csend(c, r, sizeof r - 1);
            size_t dummy = 0;
            got(c, s, s->bcast, body, cl, &dummy);
            continue;
        }
        if (st) {
            static char r[2500];
            static int rn;
            if (!rn) {
                rn = sprintf(r, "HTTP/1.1 200 OK\r\n" HDRS
                                "Transfer-Encoding: chunked\r\n\r\n801\r\n");
                memset(r + rn, 'h', 2048);
                memcpy(r + rn + 2048, "\n\r\n", 3);
                rn += 2051;
            }
            csend(c, r, (size_t)rn);
            s->streamed = 0;
        }
        s->streaming = st;
        if (!s->opened) {
            s->opened = 1;
            if ((s->bcast = bc)) {
                if (nxsubs == cxsubs)
                    xsubs = realloc(xsubs, (cxsubs = cxsubs * 2 + 64) * sizeof *xsubs);
                xsubs[nxsubs++] = s;
            }
            if (st)
                csend(c, "2\r\no\n\r\n", 7);
            else {
                poll_answer(c, "o", 1);
                continue;
            }
        }
        s->parked = c, c->parked = s;
        flush_xhr(s);
    }
    return (long)off;
}
int main(int argc, char **argv)
{
    int port = argc > 1 ? atoi(argv[1]) : 8080, one = 1;
    if (argc > 3 && !strcmp(argv[2], "--fault"))
        fault = argv[3];
    signal(SIGPIPE, SIG_IGN);
    struct rlimit rl;
    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
    int ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(ls, (struct sockaddr *)&a, sizeof a) || listen(ls, 4096)) {
        perror("listen");
        return 1;
    }
    ep = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL}, ev[512];
    epoll_ctl(ep, EPOLL_CTL_ADD, ls, &e);
    for (;;) {
        int n = epoll_wait(ep, ev, 512, -1);
        for (int i = 0; i < n; i++) {
            Conn *c = ev[i].data.ptr;
            if (!c) {
                int fd;
                while ((fd = accept4(ls, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    c = calloc(1, sizeof *c);
                    c->fd = fd;
                    e.data.ptr = c;
                    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
                }
                continue;
            }
            if (ev[i].events & EPOLLOUT && c->out.n) {
                ssize_t r = send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL);
                if (r > 0)
                    memmove(c->out.p, c->out.p + r, c->out.n -= (u32)r);
                if (!c->out.n)
                    want(c, 0);
            }
            if (!(ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                continue;
            char *base = rd;
            ssize_t r = recv(c->fd, rd, sizeof rd, 0);
            if (r < 0 && errno == EAGAIN)
                continue;
            if (r <= 0) {
                drop(c);
                continue;
            }
            size_t have = (size_t)r;
            if (c->in.n) {
                put(&c->in, rd, have);
                base = c->in.p;
                have = c->in.n;
            }
            long used = 0;
            if (!c->ws)
                used = parse_http(c, base, have);
            if (used >= 0 && c->ws) {
                long u = parse_ws(c, (u8 *)base + used, have - (size_t)used);
                used = u < 0 ? -1 : used + u;
            }
            if (used < 0) {
                drop(c);
                continue;
            }
            size_t left = have - (size_t)used;
            if (base == rd) {
                if (left)
                    put(&c->in, rd + used, left);
            } else {
                memmove(c->in.p, c->in.p + used, left);
                c->in.n = (u32)left;
            }
        }
        if (tick.n) {
            broadcast(tick.p, tick.n);
            tick.n = 0;
        }
    }
}
