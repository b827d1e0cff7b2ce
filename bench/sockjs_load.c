/* Load generator for SockJS servers: one thread, one epoll set, no dependencies.
 *
 *     cc -O2 -o sockjs_load sockjs_load.c
 *     ./sockjs_load --mode ws-echo --port 6543 --connections 100 --seconds 5
 *
 * Modes:
 *   ws-echo        N websockets, each keeps K messages in flight
 *   ws-fanout      N websocket subscribers and one websocket publisher
 *   xhr-echo       N long-polling sessions (a poll and a send connection each)
 *   xhr-fanout     N long-polling subscribers and one websocket publisher
 *   stream-fanout  N xhr_streaming subscribers and one websocket publisher
 *   open           opens websocket sessions (connect, upgrade, "o", close) as fast as possible
 *   idle           opens N websocket sessions and holds them
 *   r1-echo, r1-fanout, r1-poll, r1-idle
 *                  as ws-echo, ws-fanout, xhr-echo and idle, with resumable sessions (~r1): they
 *                  count, acknowledge after 512 messages, 64 KiB or when asked, and compare their
 *                  counts with the server's; they do not ping, nor acknowledge after a time
 *
 * With --front-port the clients of xhr-echo take turns between two processes of a cluster: all open
 * their sessions at --port, then each poll goes elsewhere than the one before, and each send
 * elsewhere than the poll that waits. With *-fanout the publisher is there, and nobody else.
 *
 * The server answers at /echo, and at /broadcast, where each message goes to all sessions, the
 * sender's too (--prefix names another path). Every message carries a sequence number and a tag, so
 * that loss, doubles and wrong order are counted for each session. A run is opening, warm-up, the
 * seconds that count, and the wait for what is still under way. The result is one line of JSON on
 * stdout; with --server-pid it has the server's CPU time and memory, with --front-pid and --redis-pid
 * the CPU time of these. The exit status is 1 when a message was lost, doubled, out of order or wrong, or a connection failed.
 *
 * It must cost less than the server that it measures: messages are templates in which only number
 * and tag change, responses are parsed in the receive buffer, nothing is allocated per message.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;

#define SEC 1000000000ull
#define RDBUF (256 * 1024)
#define TSRING (1u << 20) /* publish times by sequence number */
#define ACK_MESSAGES 512
#define ACK_BYTES (64 * 1024)

enum { M_WSECHO, M_WSFAN, M_XHRECHO, M_XHRFAN, M_STRFAN, M_OPEN, M_IDLE };
static const struct {
    const char *name;
    int mode, resumable;
} modes[] = {{"ws-echo", M_WSECHO, 0},   {"ws-fanout", M_WSFAN, 0},      {"xhr-echo", M_XHRECHO, 0},
             {"xhr-fanout", M_XHRFAN, 0}, {"stream-fanout", M_STRFAN, 0}, {"open", M_OPEN, 0},
             {"idle", M_IDLE, 0},         {"r1-echo", M_WSECHO, 1},       {"r1-fanout", M_WSFAN, 1},
             {"r1-poll", M_XHRECHO, 1},   {"r1-idle", M_IDLE, 1}};
enum { PH_OPEN, PH_WARM, PH_MEAS, PH_DRAIN, PH_END };
enum { R_WS, R_POLL, R_SEND };
enum { S_CLOSED, S_CONNECTING, S_UP }; /* socket state */
enum { W_SHAKE, W_WAITOPEN, W_OPEN, W_CLOSING };
enum { H_IDLE, H_HEAD, H_LEN, H_CHSZ, H_CHDATA, H_CHCRLF, H_TRAIL, H_EOF };

typedef struct {
    u32 exp, missing;
    u64 seen; /* bit i set: sequence exp-1-i has been seen */
} Trk;

struct Sess;
typedef struct Conn {
    int fd;
    u32 idx, gen;
    u8 role, st, ws, hs, close_after, got_bytes, want_out, front, used;
    int status;
    u64 rem;  /* body / chunk bytes still to come */
    char *ib; /* unparsed input */
    u32 il, icap;
    char *ob; /* unsent output */
    u32 ol, ooff, ocap;
    char *bb; /* partial sockjs frame (http body or ws fragments) */
    u32 bl, bcap;
    struct Sess *s;
    u64 t0;
    char accept[32];
} Conn;

typedef struct Sess {
    u32 id, sent, recvd, src;
    u8 open, is_pub, send_busy;
    Trk trk;
    u64 *ts;
    Conn *a, *b;           /* a: ws or poll connection, b: xhr_send connection */
    Conn *turn_a, *turn_b; /* the same at the other process */
    char sid[24];
    char *preq; /* poll / streaming request */
    u32 preq_n;
    char *sreq; /* xhr_send request */
    u32 sreq_n, sreq_text; /* and where the text of its first message is */
    /* resumable: what came, what of it was acknowledged, and what the server has handled */
    u32 request, got, acked, unacked_bytes, handled;
    char key[24];
} Sess;

/* ------------------------------------------------------------------ options */
static int o_mode = -1, o_resumable, o_port = 8080, o_conns = 100, o_inflight = 0, o_payload = 64, o_ramp = 64;
static int o_check, o_addrs = 16, o_browser, o_unicode, o_ackall = -1;
static int o_core[2] = {-1, -1}; /* where the server runs, and we */
static int o_server_pid, o_front_pid, o_redis_pid, o_front_port;
static double o_seconds = 5, o_warmup = 1, o_pace, o_open_timeout = 60;
static const char *o_host = "127.0.0.1", *o_prefix, *o_name;

/* ------------------------------------------------------------------- state */
static int ep, timer_fd = -1;
static Conn *conns;
static u32 nconns;
static Sess *sess, *pub;
static u32 nsess;
static int phase = PH_OPEN;
static u64 now, t_begin, t_phase_end, t_meas0, t_meas1, t_open_done;
static u32 next_open, opening, opened;
static char *rdbuf;
static char *wbuf;
static size_t wn, wcap;
static u32 tag_run;
static u32 ringmask;
static u64 *pubts;
static u32 *pubrem;
static u32 pub_done; /* messages delivered to every subscriber */
static u32 src_rr, pace_rr;
static double pace_due;
static u64 pace_last;

static struct {
    u64 msgs, frames, reads, rx, tx_calls, http, reconnects, errors, dup, reord, missing, bad,
        foreign;
    u64 heartbeats, pings, wsframes, skipped;
} C;
static char first_error[160];

/* --------------------------------------------------------------- histogram */
/* values in ns; 32 linear steps per power of two => <= 3.2 % bucket width */
#define HSUB 5
static u64 hist[64 << HSUB], hist_n, hist_max;
static double hist_sum;
static inline void hist_add(u64 v)
{
    u32 e = v < (1u << HSUB) ? 0 : 63 - __builtin_clzll(v) - HSUB;
    u32 i = e ? ((e + 1) << HSUB) + (u32)((v >> e) & ((1u << HSUB) - 1)) - 0 : (u32)v;
    hist[i]++;
    hist_n++;
    hist_sum += (double)v;
    if (v > hist_max)
        hist_max = v;
}
static double hist_pct(double p)
{
    u64 want = (u64)(p * (double)hist_n + 0.5), c = 0;
    if (!hist_n)
        return 0;
    if (want < 1)
        want = 1;
    for (u32 i = 0; i < sizeof hist / sizeof *hist; i++) {
        c += hist[i];
        if (c >= want) {
            u32 e = i >> HSUB;
            double lo, w;
            if (e <= 1) {
                lo = i;
                w = 1;
            } else {
                e--;
                lo = (double)(((u64)(1u << HSUB) + (i & ((1u << HSUB) - 1))) << e);
                w = (double)(1ull << e);
            }
            double v = lo + w / 2;
            return (v > (double)hist_max ? (double)hist_max : v) / 1000.0;
        }
    }
    return (double)hist_max / 1000.0;
}

/* ------------------------------------------------------------------- utils */
static inline u64 clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * SEC + (u64)t.tv_nsec;
}
static void die(const char *f, ...)
{
    va_list a;
    va_start(a, f);
    vfprintf(stderr, f, a);
    va_end(a);
    fputc('\n', stderr);
    exit(2);
}
static void error_note(const char *f, ...)
{
    C.errors++;
    if (first_error[0])
        return;
    va_list a;
    va_start(a, f);
    vsnprintf(first_error, sizeof first_error, f, a);
    va_end(a);
    for (char *p = first_error; *p; p++)
        if (*p == '"' || *p == '\\' || (u8)*p < 32 || (u8)*p > 126)
            *p = '.';
}
static void *xalloc(void *p, size_t n)
{
    p = realloc(p, n);
    if (!p)
        die("out of memory");
    return p;
}
static u64 rng_state;
static u64 rnd(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state;
}
static const char hexd[] = "0123456789abcdef";
static inline void put_hex8(char *p, u32 v)
{
    for (int i = 7; i >= 0; i--, v >>= 4)
        p[i] = hexd[v & 15];
}
static inline u32 get_hex8(const char *p)
{
    u32 v = 0;
    for (int i = 0; i < 8; i++) {
        u8 ch = (u8)p[i];
        v = v << 4 | (u32)((ch & 15) + (ch >> 6) * 9);
    }
    return v;
}

static void sha1(const u8 *in, size_t n, u8 out[20])
{
    u32 h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    u8 m[256];
    size_t tot = ((n + 9 + 63) / 64) * 64;
    if (tot > sizeof m)
        die("sha1 input too long");
    memset(m, 0, sizeof m);
    memcpy(m, in, n);
    m[n] = 0x80;
    for (int i = 0; i < 8; i++)
        m[tot - 1 - i] = (u8)(((u64)n * 8) >> (8 * i));
    for (size_t o = 0; o < tot; o += 64) {
        u32 w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int i = 0; i < 16; i++)
            w[i] = (u32)m[o + 4 * i] << 24 | (u32)m[o + 4 * i + 1] << 16 |
                   (u32)m[o + 4 * i + 2] << 8 | m[o + 4 * i + 3];
        for (int i = 16; i < 80; i++) {
            u32 x = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16];
            w[i] = x << 1 | x >> 31;
        }
        for (int i = 0; i < 80; i++) {
            u32 f, k;
            if (i < 20)
                f = (b & c) | (~b & d), k = 0x5a827999;
            else if (i < 40)
                f = b ^ c ^ d, k = 0x6ed9eba1;
            else if (i < 60)
                f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
            else
                f = b ^ c ^ d, k = 0xca62c1d6;
            u32 t = (a << 5 | a >> 27) + f + e + k + w[i];
            e = d, d = c, c = b << 30 | b >> 2, b = a, a = t;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    for (int i = 0; i < 20; i++)
        out[i] = (u8)(h[i / 4] >> (24 - 8 * (i & 3)));
}
static void b64(const u8 *in, size_t n, char *out)
{
    static const char t[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t i;
    for (i = 0; i + 2 < n; i += 3) {
        u32 v = (u32)in[i] << 16 | (u32)in[i + 1] << 8 | in[i + 2];
        *out++ = t[v >> 18], *out++ = t[v >> 12 & 63], *out++ = t[v >> 6 & 63], *out++ = t[v & 63];
    }
    if (i < n) {
        u32 v = (u32)in[i] << 16 | (i + 1 < n ? (u32)in[i + 1] << 8 : 0);
        *out++ = t[v >> 18], *out++ = t[v >> 12 & 63];
        *out++ = i + 1 < n ? t[v >> 6 & 63] : '=';
        *out++ = '=';
    }
    *out = 0;
}

/* --------------------------------------------------- message text and frames */
static char *filler; /* o_payload bytes; the first 16 are seq and tag */
static char *frame_tpl;
static u32 frame_n, frame_text; /* masked ws frame and where its text starts */
static const u8 mask[4] = {0x37, 0xfa, 0x21, 0x9d};

static void build_templates(void)
{
    int n = o_payload;
    filler = xalloc(NULL, (size_t)n + 1);
    memset(filler, '0', 16);
    if (o_unicode) {
        static const char *u[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xd0\x96", "z"};
        int i = 16, k = 0;
        while (i < n) {
            size_t l = strlen(u[k % 5]);
            if (i + (int)l > n)
                filler[i++] = 'z';
            else
                memcpy(filler + i, u[k % 5], l), i += (int)l;
            k++;
        }
    } else
        for (int i = 16; i < n; i++)
            filler[i] =
                "abcdefghijklmnopqrstuvwxyz ,.:ABCDEFGHIJKLMNOPQRSTUVWXYZ-_(){}"[(i * 7) % 62];
    u32 tl = (u32)n + 4, h;
    frame_tpl = xalloc(NULL, tl + 16);
    u8 *f = (u8 *)frame_tpl;
    f[0] = 0x81;
    if (tl < 126)
        f[1] = (u8)(0x80 | tl), h = 2;
    else if (tl < 65536)
        f[1] = 0x80 | 126, f[2] = (u8)(tl >> 8), f[3] = (u8)tl, h = 4;
    else {
        f[1] = 0x80 | 127;
        for (int i = 0; i < 8; i++)
            f[2 + i] = (u8)((u64)tl >> (56 - 8 * i));
        h = 10;
    }
    memcpy(f + h, mask, 4);
    frame_text = h + 4;
    frame_n = frame_text + tl;
    char *t = frame_tpl + frame_text;
    t[0] = '[', t[1] = '"';
    memcpy(t + 2, filler, (size_t)n);
    t[n + 2] = '"', t[n + 3] = ']';
    for (u32 i = 0; i < tl; i++)
        t[i] ^= (char)mask[i & 3];
}
/* a short text frame; returns its length */
static size_t ws_text(char *out, const char *text, size_t n)
{
    u8 *f = (u8 *)out;
    size_t h = 2;
    f[0] = 0x81;
    if (n < 126)
        f[1] = (u8)(0x80 | n);
    else
        f[1] = 0x80 | 126, f[2] = (u8)(n >> 8), f[3] = (u8)n, h = 4;
    memcpy(f + h, mask, 4);
    for (size_t i = 0; i < n; i++)
        out[h + 4 + i] = (char)(text[i] ^ (char)mask[i & 3]);
    return h + 4 + n;
}
static inline void w_need(size_t n)
{
    if (wn + n > wcap)
        wbuf = xalloc(wbuf, wcap = (wn + n) * 2);
}
static inline void w_frame(u32 seq, u32 tag)
{
    char x[16];
    w_need(frame_n);
    char *p = wbuf + wn;
    memcpy(p, frame_tpl, frame_n);
    put_hex8(x, seq);
    put_hex8(x + 8, tag);
    char *t = p + frame_text + 2;
    for (int i = 0; i < 16; i++)
        t[i] = (char)(x[i] ^ (char)mask[(i + 2) & 3]);
    wn += frame_n;
}

/* ----------------------------------------------------------------- sockets */
static void ep_mod(Conn *c, int op, u32 ev)
{
    struct epoll_event e = {.events = ev, .data.u64 = (u64)c->gen << 32 | c->idx};
    if (epoll_ctl(ep, op, c->fd, &e) < 0)
        die("epoll_ctl: %s", strerror(errno));
}
static void conn_close(Conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->gen++;
    c->st = S_CLOSED;
    c->il = c->ol = c->ooff = 0;
    c->want_out = 0;
    c->hs = H_IDLE;
}
static void conn_fail(Conn *c, const char *why);
static void sess_opened(Sess *s);

static int conn_connect(Conn *c)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        error_note("socket: %s", strerror(errno));
        return -1;
    }
    struct sockaddr_in a = {.sin_family = AF_INET};
    if (o_addrs > 1) {
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        a.sin_addr.s_addr = htonl(0x7f000002u + c->s->src % (u32)o_addrs);
        if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0) {
            error_note("bind: %s", strerror(errno));
            close(fd);
            return -1;
        }
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    a.sin_port = htons((uint16_t)(c->front ? o_front_port : o_port));
    inet_pton(AF_INET, o_host, &a.sin_addr);
    c->fd = fd;
    c->gen++;
    c->il = c->ol = c->ooff = c->bl = 0;
    c->got_bytes = 0;
    c->st = S_CONNECTING;
    c->want_out = 1;
    if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0 && errno != EINPROGRESS) {
        error_note("connect: %s", strerror(errno));
        conn_close(c);
        return -1;
    }
    ep_mod(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
    return 0;
}
static void conn_queue(Conn *c, const char *p, size_t n)
{
    if (c->ol + n > c->ocap)
        c->ob = xalloc(c->ob, c->ocap = (u32)((c->ol + n) * 2));
    memcpy(c->ob + c->ol, p, n);
    c->ol += (u32)n;
}
static void conn_write(Conn *c, const char *p, size_t n)
{
    if (c->st != S_UP || c->ol > c->ooff) {
        conn_queue(c, p, n);
        return;
    }
    C.tx_calls++;
    ssize_t r = send(c->fd, p, n, MSG_NOSIGNAL);
    if (r == (ssize_t)n)
        return;
    if (r < 0) {
        if (errno != EAGAIN) {
            /* the read side will report it */
            return;
        }
        r = 0;
    }
    c->ol = c->ooff = 0;
    conn_queue(c, p + r, n - (size_t)r);
    c->want_out = 1;
    ep_mod(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}
static void conn_writable(Conn *c)
{
    if (c->st == S_CONNECTING) {
        int e = 0;
        socklen_t l = sizeof e;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &l);
        if (e) {
            conn_fail(c, strerror(e));
            return;
        }
        c->st = S_UP;
    }
    if (c->ol > c->ooff) {
        C.tx_calls++;
        ssize_t r = send(c->fd, c->ob + c->ooff, c->ol - c->ooff, MSG_NOSIGNAL);
        if (r > 0)
            c->ooff += (u32)r;
    }
    if (c->ooff == c->ol) {
        c->ol = c->ooff = 0;
        if (c->want_out) {
            c->want_out = 0;
            ep_mod(c, EPOLL_CTL_MOD, EPOLLIN);
        }
    }
}

/* ---------------------------------------------------------------- requests */
static const char *extra_headers(void)
{
    return o_browser ? "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, "
                       "like Gecko) "
                       "Chrome/126.0.0.0 Safari/537.36\r\nAccept: */*\r\nAccept-Language: "
                       "en-US,en;q=0.9\r\n"
                       "Accept-Encoding: gzip, deflate, br\r\nOrigin: http://localhost:3000\r\n"
                       "Referer: http://localhost:3000/\r\nCache-Control: no-cache\r\nPragma: "
                       "no-cache\r\n"
                     : "";
}
static int fmt_path(char *b, size_t n, const Sess *s, const char *tail)
{
    return snprintf(b, n, "%s/%s/%s/%s", o_prefix, o_resumable ? "~r1" : "000", s->sid, tail);
}
/* 16 random bytes as base64url */
static void r1_token(char out[24])
{
    u8 bytes[16];
    char text[32];
    for (int i = 0; i < 16; i++)
        bytes[i] = (u8)rnd();
    b64(bytes, 16, text);
    for (int i = 0; i < 22; i++)
        out[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
    out[22] = 0;
}
/* a receive request: the body of a poll, the hello of a websocket */
static int r1_receive(char *b, size_t n, Sess *s, int is_new)
{
    char client[24], more[96] = "";
    if (is_new) {
        r1_token(client);
        snprintf(more, sizeof more, ",\"new\":true,\"client\":\"%s\",\"base\":1", client);
    }
    return snprintf(b, n, "{\"key\":\"%s\",\"request\":%u,\"received\":%u%s}", s->key,
                    ++s->request, s->got, more);
}
static void ws_start(Conn *c)
{
    char path[256], req[1600], key[32];
    u8 k[16];
    for (int i = 0; i < 16; i++)
        k[i] = (u8)rnd();
    b64(k, 16, key);
    if (o_check) {
        char t[80];
        u8 d[20];
        int n = snprintf(t, sizeof t, "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
        sha1((u8 *)t, (size_t)n, d);
        b64(d, 20, c->accept);
    }
    fmt_path(path, sizeof path, c->s, o_resumable ? "websocket?new" : "websocket");
    int n =
        snprintf(req, sizeof req,
                 "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s\r\n",
                 path, o_host, o_port, key, extra_headers());
    c->ws = W_SHAKE;
    c->t0 = clock_ns();
    if (conn_connect(c) == 0)
        conn_queue(c, req, (size_t)n);
    else if (o_mode == M_OPEN)
        die("open: %s", first_error);
}
static void http_request(Conn *c, const char *req, size_t n)
{
    if (c->fd < 0) {
        C.reconnects += c->used;
        c->used = 1;
        if (conn_connect(c) < 0)
            return;
    }
    c->hs = H_HEAD;
    c->got_bytes = 0;
    C.http++;
    conn_write(c, req, n);
}
static void poll_request(Sess *s)
{
    if (o_resumable) {
        char path[256], body[256], b[2048];
        int n = r1_receive(body, sizeof body, s, s->a->ws != W_OPEN);
        fmt_path(path, sizeof path, s, "xhr");
        n = snprintf(b, sizeof b,
                     "POST %s HTTP/1.1\r\nHost: %s:%d\r\n%sContent-Type: "
                     "text/plain;charset=UTF-8\r\nContent-Length: %d\r\n\r\n%s",
                     path, o_host, o_port, extra_headers(), n, body);
        http_request(s->a, b, (size_t)n);
        return;
    }
    http_request(s->a, s->preq, s->preq_n);
}

static void sess_prepare(Sess *s)
{
    for (int i = 0; i < 16; i++)
        s->sid[i] = "abcdefghijklmnopqrstuvwxyz012345"[rnd() & 31];
    s->sid[16] = 0;
    if (o_resumable) {
        r1_token(s->sid);
        r1_token(s->key);
    }
    s->src = src_rr++;
}
static void send_prepare(Sess *s)
{ /* the xhr_send request, but for the numbers and tags of its messages */
    char path[256], b[2048], begin[96] = "[", end[48] = "]";
    if (o_resumable) {
        snprintf(begin, sizeof begin, "{\"key\":\"%s\",\"first\":%u,\"messages\":[", s->key,
                 s->sent + 1);
        snprintf(end, sizeof end, "],\"received\":%u}", s->got);
    }
    u32 messages = (u32)o_inflight * ((u32)o_payload + 2) + (u32)(o_inflight - 1);
    u32 nb = (u32)strlen(begin), ne = (u32)strlen(end);
    fmt_path(path, sizeof path, s, "xhr_send");
    u32 n = (u32)snprintf(
        b, sizeof b,
        "POST %s HTTP/1.1\r\nHost: %s:%d\r\n%sContent-Type: text/plain;charset=UTF-8\r\n"
        "Content-Length: %u\r\n\r\n",
        path, o_host, o_port, extra_headers(), nb + messages + ne);
    s->sreq_n = n + nb + messages + ne;
    s->sreq_text = n + nb + 1;
    if (!s->sreq)
        s->sreq = xalloc(NULL, sizeof b + sizeof begin + messages + sizeof end);
    memcpy(s->sreq, b, n);
    char *p = s->sreq + n;
    memcpy(p, begin, nb);
    p += nb;
    for (int i = 0; i < o_inflight; i++) {
        if (i)
            *p++ = ',';
        *p++ = '"';
        memcpy(p, filler, (size_t)o_payload);
        p += o_payload;
        *p++ = '"';
    }
    memcpy(p, end, ne);
}
static void sess_http_prepare(Sess *s)
{
    char path[256], b[2048];
    fmt_path(path, sizeof path, s, o_mode == M_STRFAN ? "xhr_streaming" : "xhr");
    s->preq_n =
        (u32)snprintf(b, sizeof b, "POST %s HTTP/1.1\r\nHost: %s:%d\r\n%sContent-Length: 0\r\n\r\n",
                      path, o_host, o_port, extra_headers());
    s->preq = xalloc(NULL, s->preq_n + 1);
    memcpy(s->preq, b, s->preq_n);
    if (o_mode == M_XHRECHO)
        send_prepare(s);
}

/* ------------------------------------------------------------ opening phase */
static void set_phase(int p);
static void start_one(void)
{
    Sess *s = &sess[next_open++];
    sess_prepare(s);
    opening++;
    if (s->a->role == R_WS)
        ws_start(s->a);
    else {
        sess_http_prepare(s);
        s->a->st = S_CLOSED;
        poll_request(s);
    }
}
static void pump_open(void)
{
    if (phase != PH_OPEN || o_mode == M_OPEN)
        return;
    while (next_open < nsess && opening < (u32)o_ramp) {
        if (pub && next_open == nsess - 1 && opened < nsess - 1)
            return; /* the publisher joins last */
        start_one();
    }
}
static void sess_opened(Sess *s)
{
    if (s->open)
        return;
    s->open = 1;
    opening--;
    opened++;
    if (opened == nsess) {
        t_open_done = now;
        set_phase(PH_WARM);
    } else
        pump_open();
}

/* ------------------------------------------------------------ message flow */
static inline int sending(void)
{
    return phase == PH_WARM || phase == PH_MEAS;
}

static inline int track(Trk *t, u32 seq)
{
    u32 d = seq - t->exp;
    if (d == 0) {
        t->exp++;
        t->seen = t->seen << 1 | 1;
        return 1;
    }
    if ((int32_t)d > 0) {
        t->missing += d;
        t->seen = d >= 63 ? 1 : (t->seen << (d + 1) | 1);
        t->exp = seq + 1;
        return 1;
    }
    u32 back = t->exp - 1 - seq;
    if (back < 64) {
        if (t->seen >> back & 1) {
            C.dup++;
            return 0;
        }
        t->seen |= 1ull << back;
        t->missing--;
        C.reord++;
        return 1;
    }
    if (t->missing) {
        t->missing--;
        C.reord++;
        return 1;
    }
    C.dup++;
    return 0;
}
static void echo_fill(Sess *s)
{ /* ws-echo: top up to K in flight, into wbuf */
    while (s->sent - s->recvd < (u32)o_inflight) {
        s->ts[s->sent & ringmask] = now;
        w_frame(s->sent, s->id);
        s->sent++;
    }
}
static void take_turns(Conn **one, Conn **other)
{
    Conn *was = *one;
    *one = *other;
    *other = was;
    (*one)->ws = was->ws;
}
static void xhr_send_next(Sess *s)
{
    if (o_resumable)
        send_prepare(s);
    char *p = s->sreq + s->sreq_text;
    for (int i = 0; i < o_inflight; i++, p += o_payload + 3) {
        s->ts[s->sent & ringmask] = now;
        put_hex8(p, s->sent);
        put_hex8(p + 8, s->id);
        s->sent++;
    }
    s->send_busy = 1;
    if (o_front_port && s->b->front == s->a->front)
        take_turns(&s->b, &s->turn_b);
    http_request(s->b, s->sreq, s->sreq_n);
}
static void xhr_next(Sess *s)
{
    if (!s->sent || s->send_busy || s->recvd != s->sent)
        return;
    if (!s->open)
        sess_opened(s);
    else if (sending() && o_pace <= 0)
        xhr_send_next(s);
}
static u32 pub_inflight(void)
{
    return o_ackall ? pub->sent - pub_done : pub->sent - pub->recvd;
}
static void pub_emit(void)
{
    u32 q = pub->sent++;
    pubts[q & (TSRING - 1)] = now;
    pubrem[q & (TSRING - 1)] = nsess - 1;
    w_frame(q, tag_run);
}
static void pub_pump(void)
{
    if (!pub || !sending() || o_pace > 0 || pub->a->fd < 0)
        return;
    wn = 0;
    while (pub_inflight() < (u32)o_inflight)
        pub_emit();
    if (wn)
        conn_write(pub->a, wbuf, wn);
    wn = 0;
}
static void pace_tick(void)
{
    if (!sending()) {
        pace_last = now;
        pace_due = 0;
        return;
    }
    pace_due += (double)(now - pace_last) / 1e9 * o_pace;
    pace_last = now;
    if (pub) {
        wn = 0;
        for (; pace_due >= 1; pace_due -= 1) {
            if (pub_inflight() >= TSRING / 2) {
                C.skipped++;
                continue;
            }
            pub_emit();
        }
        if (wn)
            conn_write(pub->a, wbuf, wn);
        wn = 0;
        return;
    }
    for (; pace_due >= 1; pace_due -= 1) {
        Sess *s = &sess[pace_rr++ % nsess];
        if (o_mode == M_XHRECHO) {
            if (s->send_busy || s->recvd != s->sent)
                C.skipped++;
            else
                xhr_send_next(s);
            continue;
        }
        if (s->sent - s->recvd > ringmask) {
            C.skipped++;
            continue;
        }
        wn = 0;
        s->ts[s->sent & ringmask] = now;
        w_frame(s->sent++, s->id);
        conn_write(s->a, wbuf, wn);
        wn = 0;
    }
}

/* decode one JSON string body to UTF-8; returns the length or -1 */
static long json_decode(const char *p, size_t n, char *out)
{
    char *o = out;
    for (size_t i = 0; i < n; i++) {
        if (p[i] != '\\') {
            *o++ = p[i];
            continue;
        }
        if (++i >= n)
            return -1;
        switch (p[i]) {
        case 'n': *o++ = '\n'; break;
        case 't': *o++ = '\t'; break;
        case 'r': *o++ = '\r'; break;
        case 'b': *o++ = '\b'; break;
        case 'f': *o++ = '\f'; break;
        case 'u': {
            u32 v = 0, lo = 0;
            if (i + 4 >= n || sscanf(p + i + 1, "%4x", &v) != 1)
                return -1;
            i += 4;
            if (v >= 0xd800 && v < 0xdc00) {
                if (i + 6 >= n + 0u || p[i + 1] != '\\' || sscanf(p + i + 3, "%4x", &lo) != 1)
                    return -1;
                i += 6;
                v = 0x10000 + ((v - 0xd800) << 10) + (lo - 0xdc00);
            }
            if (v < 0x80)
                *o++ = (char)v;
            else if (v < 0x800)
                *o++ = (char)(0xc0 | v >> 6), *o++ = (char)(0x80 | (v & 63));
            else if (v < 0x10000)
                *o++ = (char)(0xe0 | v >> 12), *o++ = (char)(0x80 | (v >> 6 & 63)),
                *o++ = (char)(0x80 | (v & 63));
            else
                *o++ = (char)(0xf0 | v >> 18), *o++ = (char)(0x80 | (v >> 12 & 63)),
                *o++ = (char)(0x80 | (v >> 6 & 63)), *o++ = (char)(0x80 | (v & 63));
            break;
        }
        default: *o++ = p[i];
        }
    }
    return o - out;
}

static inline void on_message(Sess *s, const char *m, size_t n)
{
    s->got++;
    s->unacked_bytes += (u32)n;
    if (n < 16) {
        C.bad++;
        return;
    }
    if (o_check) {
        if (!memchr(m, '\\', n)) {
            if (n != (size_t)o_payload || memcmp(m + 16, filler + 16, n - 16))
                C.bad++;
        } else {
            static char *tmp;
            static size_t cap;
            if (n + 8 > cap)
                tmp = xalloc(tmp, cap = n + 64);
            long l = json_decode(m, n, tmp);
            if (l != o_payload || memcmp(tmp + 16, filler + 16, (size_t)l - 16))
                C.bad++;
        }
    }
    u32 seq = get_hex8(m), tag = get_hex8(m + 8);
    if (pub) {
        if (tag != tag_run || seq - pub->sent < 0x80000000u) {
            C.foreign++;
            return;
        }
        if (!track(&s->trk, seq))
            return;
        s->recvd++;
        if (s->is_pub)
            return;
        u32 k = seq & (TSRING - 1);
        if (--pubrem[k] == 0)
            pub_done++;
        if (phase == PH_MEAS) {
            C.msgs++;
            hist_add(now - pubts[k]);
        }
        return;
    }
    if (tag != s->id || seq - s->sent < 0x80000000u) {
        C.foreign++;
        return;
    }
    if (!track(&s->trk, seq))
        return;
    s->recvd++;
    if (phase == PH_MEAS) {
        C.msgs++;
        hist_add(now - s->ts[seq & ringmask]);
    }
}
static void on_array(Sess *s, const char *p, size_t n)
{
    const char *e = p + n;
    C.frames += phase == PH_MEAS && !s->is_pub;
    if (p >= e || *p++ != '[')
        goto bad;
    for (;;) {
        while (p < e && *p == ' ')
            p++;
        if (p >= e)
            goto bad;
        if (*p == ']')
            return;
        if (*p++ != '"')
            goto bad;
        const char *q;
        if (!o_unicode && e - p > o_payload && p[o_payload] == '"')
            q = p + o_payload;
        else {
            for (q = p;; q++) {
                if (q >= e)
                    goto bad;
                if (*q == '\\')
                    q++;
                else if (*q == '"')
                    break;
            }
        }
        on_message(s, p, (size_t)(q - p));
        p = q + 1;
        while (p < e && *p == ' ')
            p++;
        if (p >= e)
            goto bad;
        if (*p == ',') {
            p++;
            continue;
        }
        if (*p == ']')
            return;
        goto bad;
    }
bad:
    C.bad++;
    error_note("bad array frame: %.60s", e - n);
}

/* the number of a key in a control frame; -1 where it has none */
static long r1_number(const char *p, size_t n, const char *key)
{
    const char *e = p + n, *q = memmem(p, n, key, strlen(key));
    long v = 0;
    if (!q)
        return -1;
    for (q += strlen(key); q < e && *q >= '0' && *q <= '9'; q++)
        v = v * 10 + *q - '0';
    return v;
}
static void r1_acknowledge(Conn *c)
{
    Sess *s = c->s;
    char text[48], f[64];
    int n = snprintf(text, sizeof text, "{\"received\":%u}", s->got);
    s->acked = s->got;
    s->unacked_bytes = 0;
    conn_write(c, f, ws_text(f, text, (size_t)n));
    /* Linux delays the ACKs of who sends now and then; it sends them later, on the CPU of the server
     * then, not on ours. The acknowledgement is to cost what it costs over a network. */
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
}
/* welcome, counts: both ends must have counted alike */
static void on_control(Conn *c, const char *p, size_t n)
{
    Sess *s = c->s;
    long from = r1_number(p, n, "\"from\":"), at = r1_number(p, n, "\"at\":"),
         handled = r1_number(p, n, "\"received\":");
    if ((from < 0 && at < 0) || (from >= 0 && from != (long)s->got + 1) ||
        (at >= 0 && at != (long)s->got) ||
        (handled >= 0 && (handled < (long)s->handled || handled > (long)s->sent))) {
        C.bad++;
        error_note("bad control frame: %.*s", (int)(n > 80 ? 80 : n), p);
        return;
    }
    if (handled >= 0)
        s->handled = (u32)handled;
    if (from >= 0) {
        c->ws = W_OPEN;
        if (c->role == R_WS)
            sess_opened(s);
    }
    if (memmem(p, n, "\"ack\":true", 10) && c->role == R_WS)
        r1_acknowledge(c);
}

/* one SockJS frame (websocket text or one line of an xhr body) */
static void on_frame(Conn *c, const char *p, size_t n)
{
    Sess *s = c->s;
    if (!n)
        return;
    switch (p[0]) {
    case 'a':
        on_array(s, p + 1, n - 1);
        if (o_resumable && c->role == R_WS &&
            (s->got - s->acked >= ACK_MESSAGES || s->unacked_bytes >= ACK_BYTES))
            r1_acknowledge(c);
        return;
    case 'r':
        if (!o_resumable)
            break;
        on_control(c, p + 1, n - 1);
        return;
    case 'o':
        if (n != 1 || o_resumable)
            break;
        if (c->role == R_WS) {
            c->ws = W_OPEN;
            if (o_mode == M_OPEN) {
                static const char cl[] =
                    "\x88\x82\x37\xfa\x21\x9d\x34\x12"; /* close 1000, masked */
                if (phase == PH_MEAS) {
                    C.msgs++;
                    hist_add(now - c->t0);
                }
                c->ws = W_CLOSING;
                conn_write(c, cl, 8);
                return;
            }
            sess_opened(s);
        } else if (o_mode == M_STRFAN)
            sess_opened(s);
        else
            c->ws = W_OPEN; /* the session counts as open once the response is complete */
        return;
    case 'h': C.heartbeats++; return;
    case 'c': error_note("server closed: %.*s", (int)(n > 80 ? 80 : n), p); return;
    }
    C.bad++;
    error_note("bad frame: %.*s", (int)(n > 60 ? 60 : n), p);
}

/* ------------------------------------------------------------- websocket in */
static size_t ws_parse(Conn *c, char *p, size_t n)
{
    size_t off = 0;
    if (c->ws == W_SHAKE) {
        char *e = memmem(p, n, "\r\n\r\n", 4);
        if (!e) {
            if (n > 16384)
                conn_fail(c, "oversized handshake response");
            return 0;
        }
        if (n < 12 || memcmp(p + 8, " 101", 4)) {
            char t[40];
            snprintf(t, sizeof t, "upgrade refused: %.12s", p);
            conn_fail(c, t);
            return n;
        }
        if (o_check) {
            char *a = strcasestr(p, "sec-websocket-accept:");
            if (a)
                a += 21 + (a[21] == ' ');
            if (!a || a > e || strncmp(a, c->accept, strlen(c->accept))) {
                conn_fail(c, "bad Sec-WebSocket-Accept");
                return n;
            }
        }
        c->ws = W_WAITOPEN;
        off = (size_t)(e - p) + 4;
        if (o_resumable) {
            char hello[256], f[272];
            int l = r1_receive(hello, sizeof hello, c->s, 1);
            conn_write(c, f, ws_text(f, hello, (size_t)l));
        }
    }
    while (n - off >= 2) {
        u8 *f = (u8 *)p + off;
        u64 len = f[1] & 127;
        size_t h = 2;
        if (len == 126) {
            if (n - off < 4)
                break;
            len = (u64)f[2] << 8 | f[3];
            h = 4;
        } else if (len == 127) {
            if (n - off < 10)
                break;
            len = 0;
            for (int i = 0; i < 8; i++)
                len = len << 8 | f[2 + i];
            h = 10;
        }
        if (n - off < h + len)
            break;
        off += h + len;
        char *d = (char *)f + h;
        int op = f[0] & 15, fin = f[0] >> 7;
        C.wsframes++;
        if (op == 1 && fin) {
            u32 g = c->gen;
            on_frame(c, d, len);
            if (c->gen != g)
                return n;
        } else if (op == 1 || op == 0) {
            if (op == 1)
                c->bl = 0;
            if (c->bl + len > c->bcap)
                c->bb = xalloc(c->bb, c->bcap = (u32)(c->bl + len) * 2 + 64);
            memcpy(c->bb + c->bl, d, len);
            c->bl += (u32)len;
            if (fin)
                on_frame(c, c->bb, c->bl);
        } else if (op == 8) {
            if (o_mode == M_OPEN && c->ws == W_CLOSING) {
                conn_close(c);
                return n;
            }
            conn_fail(c, "websocket closed by server");
            return n;
        } else if (op == 9) {
            char pong[140];
            C.pings++;
            if (len <= 125) {
                pong[0] = (char)0x8a;
                pong[1] = (char)(0x80 | len);
                memset(pong + 2, 0, 4);
                memcpy(pong + 6, d, len);
                conn_write(c, pong, 6 + len);
            }
        }
    }
    return off;
}

/* ------------------------------------------------------------------ http in */
static void http_body(Conn *c, char *p, size_t n)
{
    if (c->role != R_POLL && !o_resumable)
        return;
    if (c->bl) {
        char *e = memchr(p, '\n', n);
        size_t take = e ? (size_t)(e - p) : n;
        if (c->bl + take > c->bcap)
            c->bb = xalloc(c->bb, c->bcap = (u32)(c->bl + take) * 2 + 64);
        memcpy(c->bb + c->bl, p, take);
        c->bl += (u32)take;
        if (!e)
            return;
        on_frame(c, c->bb, c->bl);
        c->bl = 0;
        p += take + 1;
        n -= take + 1;
    }
    while (n) {
        char *e = memchr(p, '\n', n);
        if (!e) {
            if (n > c->bcap)
                c->bb = xalloc(c->bb, c->bcap = (u32)n * 2 + 64);
            memcpy(c->bb, p, n);
            c->bl = (u32)n;
            return;
        }
        on_frame(c, p, (size_t)(e - p));
        n -= (size_t)(e - p) + 1;
        p = e + 1;
    }
}
/* a complete response has been read */
static void http_done(Conn *c)
{
    Sess *s = c->s;
    int st = c->status;
    if (c->close_after)
        conn_close(c);
    else
        c->hs = H_IDLE;
    if (c->role == R_SEND) {
        s->send_busy = 0;
        if (st != 204 && st != 200)
            error_note("xhr_send answered %d", st);
        else if (o_resumable && r1_number(c->bb, c->bl, "\"arrived\":") != (long)s->sent)
            error_note("xhr_send answered %.*s", (int)(c->bl > 80 ? 80 : c->bl), c->bb);
        c->bl = 0;
    } else {
        if (c->bl) {
            on_frame(c, c->bb, c->bl);
            c->bl = 0;
        }
        if (st != 200) {
            error_note("poll answered %d", st);
            return;
        }
        if (phase == PH_END)
            return;
        if (s->turn_a)
            take_turns(&s->a, &s->turn_a);
        poll_request(s);
        if (!s->open && c->ws == W_OPEN) {
            if (o_mode != M_XHRECHO)
                sess_opened(s);
            else if (!s->sent) {
                /* The session counts as open after one complete echo: a connect() that has succeeded
                 * may still sit in the accept queue (libuv accepts one connection per loop turn). */
                xhr_send_next(s);
            }
        }
    }
    if (o_mode == M_XHRECHO)
        xhr_next(s);
}
static int http_head(Conn *c, char *p, char *e)
{ /* e points at the CRLFCRLF; returns the next state */
    long cl = -1;
    int chunked = 0, v10 = 0, close_hdr = 0, keep = 0;
    if (e - p < 12 || memcmp(p, "HTTP/1.", 7))
        return -1;
    v10 = p[7] == '0';
    c->status = (p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0');
    for (char *l = memchr(p, '\n', (size_t)(e - p)); l && l < e;) {
        l++;
        char *nl = memchr(l, '\n', (size_t)(e + 2 - l));
        switch (*l | 32) {
        case 'c':
            if (!strncasecmp(l, "content-length:", 15))
                cl = strtol(l + 15, NULL, 10);
            else if (!strncasecmp(l, "connection:", 11)) {
                char *v = l + 11;
                while (*v == ' ')
                    v++;
                if ((*v | 32) == 'c')
                    close_hdr = 1;
                else if ((*v | 32) == 'k')
                    keep = 1;
            }
            break;
        case 't':
            if (!strncasecmp(l, "transfer-encoding:", 18) &&
                memmem(l, (size_t)(e - l), "chunked", 7))
                chunked = 1;
            break;
        }
        l = nl;
    }
    c->close_after = (u8)(close_hdr || (v10 && !keep));
    if (c->status < 200)
        return H_HEAD;
    if (c->status == 204 || c->status == 304)
        return H_IDLE;
    if (chunked)
        return H_CHSZ;
    if (cl >= 0) {
        c->rem = (u64)cl;
        return cl ? H_LEN : H_IDLE;
    }
    c->close_after = 1;
    return H_EOF;
}
static size_t http_parse(Conn *c, char *p, size_t n)
{
    size_t off = 0;
    u32 g = c->gen;
    while (off < n) {
        size_t have = n - off;
        char *q = p + off;
        switch (c->hs) {
        case H_IDLE: conn_fail(c, "unexpected bytes on an idle http connection"); return n;
        case H_HEAD: {
            char *e = memmem(q, have, "\r\n\r\n", 4);
            if (!e)
                return off;
            int st = http_head(c, q, e);
            if (st < 0) {
                conn_fail(c, "bad http response");
                return n;
            }
            off = (size_t)(e - p) + 4;
            c->hs = (u8)st;
            if (st == H_IDLE)
                http_done(c);
            break;
        }
        case H_LEN:
        case H_CHDATA: {
            size_t take = have < c->rem ? have : (size_t)c->rem;
            http_body(c, q, take);
            off += take;
            c->rem -= take;
            if (!c->rem) {
                if (c->hs == H_LEN)
                    http_done(c);
                else
                    c->hs = H_CHCRLF;
            }
            break;
        }
        case H_CHSZ: {
            char *e = memchr(q, '\n', have);
            if (!e)
                return off;
            u64 v = 0;
            for (char *x = q; x < e; x++) {
                u8 ch = (u8)*x;
                if (ch >= '0' && ch <= '9')
                    v = v << 4 | (u64)(ch - '0');
                else if ((ch | 32) >= 'a' && (ch | 32) <= 'f')
                    v = v << 4 | (u64)((ch | 32) - 'a' + 10);
                else
                    break;
            }
            off = (size_t)(e - p) + 1;
            c->rem = v;
            c->hs = v ? H_CHDATA : H_TRAIL;
            break;
        }
        case H_CHCRLF:
            if (have < 2)
                return off;
            off += 2;
            c->hs = H_CHSZ;
            break;
        case H_TRAIL: {
            char *e = memchr(q, '\n', have);
            if (!e)
                return off;
            off = (size_t)(e - p) + 1;
            if (e - q <= 1)
                http_done(c);
            break;
        }
        case H_EOF:
            http_body(c, q, have);
            off = n;
            break;
        }
        if (c->gen != g)
            return n; /* closed or reconnected */
    }
    return off;
}

/* --------------------------------------------------------------- fail, read */
static void conn_fail(Conn *c, const char *why)
{
    Sess *s = c->s;
    int was_ws = c->ws, hs = c->hs, got = c->got_bytes;
    if (c->role == R_WS) {
        conn_close(c);
        if (o_mode == M_OPEN && was_ws == W_CLOSING)
            return; /* the server just dropped the connection: fine */
        if (phase == PH_END)
            return;
        error_note("ws session %u: %s", s->id, why);
        if (phase == PH_OPEN && C.errors < 1000 && !s->open)
            ws_start(c);
        return;
    }
    if (hs == H_EOF) {
        c->close_after = 1;
        http_done(c);
        return;
    }
    conn_close(c);
    if (hs == H_IDLE || phase == PH_END)
        return; /* the server closed an idle keep-alive connection */
    if (hs == H_HEAD && !got && C.reconnects < 100000) {
        /* request and close crossed: send it again */
        if (c->role == R_POLL)
            poll_request(s);
        else
            http_request(c, s->sreq, s->sreq_n);
        return;
    }
    error_note("http session %u: %s", s->id, why);
    if (C.errors < 1000 && c->role == R_POLL) {
        c->bl = 0;
        poll_request(s);
    }
}
static void conn_readable(Conn *c)
{
    ssize_t r;
    char *base;
    size_t n;
    if (c->il) {
        if (c->icap - c->il < 65536)
            c->ib = xalloc(c->ib, c->icap = c->il * 2 + 65536);
        base = c->ib;
        r = recv(c->fd, base + c->il, c->icap - c->il, 0);
    } else {
        base = rdbuf;
        r = recv(c->fd, base, RDBUF, 0);
    }
    now = clock_ns();
    C.reads++;
    if (r <= 0) {
        if (r < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        conn_fail(c, r ? strerror(errno) : "connection closed by server");
        return;
    }
    C.rx += (u64)r;
    c->got_bytes = 1;
    n = c->il + (size_t)r;
    u32 g = c->gen;
    size_t used = c->role == R_WS ? ws_parse(c, base, n) : http_parse(c, base, n);
    if (c->gen != g)
        return;
    size_t left = n - used;
    if (left) {
        if (base == rdbuf) {
            if (left > c->icap)
                c->ib = xalloc(c->ib, c->icap = (u32)left * 2 + 256);
            memcpy(c->ib, base + used, left);
        } else if (used)
            memmove(c->ib, c->ib + used, left);
    } else if (c->icap > 8192) {
        free(c->ib);
        c->ib = NULL;
        c->icap = 0;
    }
    c->il = (u32)left;
    if (!sending())
        return;
    if (o_mode == M_WSECHO && c->s->open && o_pace <= 0) {
        wn = 0;
        echo_fill(c->s);
        if (wn)
            conn_write(c, wbuf, wn);
        wn = 0;
    } else if (o_mode == M_XHRECHO) {
        /* the echo may arrive after the xhr_send response or before it */
        xhr_next(c->s);
    } else if (c->s->is_pub)
        pub_pump();
}

/* ------------------------------------------------------------- measurements */
typedef struct {
    double self, server, server_sys, front, redis;
    long rss, hwm;
    u64 cpu_tot[2], cpu_idle[2], cpu_steal[2];
} Snap;
static Snap sn0, sn1, sn_begin;
/* the seconds that a process has had, and of these the kernel's; 0 for no process */
static double cpu_time(int pid, double *sys)
{
    char fn[64], b[4096];
    unsigned long ut = 0, st = 0;
    snprintf(fn, sizeof fn, "/proc/%d/stat", pid);
    FILE *f = pid ? fopen(fn, "r") : NULL;
    if (f) {
        b[fread(b, 1, sizeof b - 1, f)] = 0;
        fclose(f);
        char *p = strrchr(b, ')');
        if (p)
            sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &ut, &st);
    }
    double hz = (double)sysconf(_SC_CLK_TCK);
    if (sys)
        *sys = (double)st / hz;
    return (double)(ut + st) / hz;
}
static void snap(Snap *s)
{
    char b[4096];
    memset(s, 0, sizeof *s);
    struct rusage ru;
    getrusage(RUSAGE_SELF, &ru);
    s->self = (double)ru.ru_utime.tv_sec + (double)ru.ru_utime.tv_usec / 1e6 +
              (double)ru.ru_stime.tv_sec + (double)ru.ru_stime.tv_usec / 1e6;
    s->server = cpu_time(o_server_pid, &s->server_sys);
    s->front = cpu_time(o_front_pid, NULL);
    s->redis = cpu_time(o_redis_pid, NULL);
    if (o_server_pid) {
        char fn[64];
        snprintf(fn, sizeof fn, "/proc/%d/status", o_server_pid);
        FILE *f = fopen(fn, "r");
        if (f) {
            while (fgets(b, sizeof b, f)) {
                sscanf(b, "VmRSS: %ld", &s->rss);
                sscanf(b, "VmHWM: %ld", &s->hwm);
            }
            fclose(f);
        }
    }
    FILE *f = fopen("/proc/stat", "r");
    if (f) {
        while (fgets(b, sizeof b, f)) {
            unsigned long v[8];
            int k;
            if (sscanf(b, "cpu%d %lu %lu %lu %lu %lu %lu %lu %lu", &k, v, v + 1, v + 2, v + 3,
                       v + 4, v + 5, v + 6, v + 7) != 9)
                continue;
            for (int c = 0; c < 2; c++)
                if (o_core[c] == k) {
                    for (int i = 0; i < 8; i++)
                        s->cpu_tot[c] += v[i];
                    s->cpu_idle[c] = v[3] + v[4];
                    s->cpu_steal[c] = v[7];
                }
        }
        fclose(f);
    }
}
static u64 c_reads0, c_tx0, c_http0, c_rec0, c_rx0, c_wsf0;
static void set_phase(int p)
{
    phase = p;
    now = clock_ns();
    switch (p) {
    case PH_WARM:
        t_phase_end = now + (u64)(o_warmup * 1e9);
        pace_last = now;
        if (o_mode == M_WSECHO && o_pace <= 0)
            for (u32 i = 0; i < nsess; i++) {
                wn = 0;
                echo_fill(&sess[i]);
                conn_write(sess[i].a, wbuf, wn);
                wn = 0;
            }
        else if (o_mode == M_XHRECHO)
            for (u32 i = 0; i < nsess; i++)
                xhr_next(&sess[i]);
        else if (o_mode == M_IDLE) {
            fprintf(stderr, "ready %u sessions in %.2f s\n", opened,
                    (double)(t_open_done - t_begin) / 1e9);
            fflush(stderr);
        } else
            pub_pump();
        break;
    case PH_MEAS:
        snap(&sn0);
        c_reads0 = C.reads, c_tx0 = C.tx_calls, c_http0 = C.http, c_rec0 = C.reconnects,
        c_rx0 = C.rx;
        c_wsf0 = C.wsframes;
        now = t_meas0 = clock_ns();
        t_phase_end = now + (u64)(o_seconds * 1e9);
        break;
    case PH_DRAIN:
        t_meas1 = now;
        snap(&sn1);
        t_phase_end = now + 5 * SEC;
        break;
    }
}
static int drained(void)
{
    if (o_mode == M_OPEN || o_mode == M_IDLE)
        return 1;
    if (pub) {
        for (u32 i = 0; i < nsess; i++)
            if (sess[i].recvd != pub->sent)
                return 0;
        return 1;
    }
    for (u32 i = 0; i < nsess; i++)
        if (sess[i].recvd != sess[i].sent || sess[i].send_busy)
            return 0;
    return 1;
}

static int report(void)
{
    double s = (double)(t_meas1 - t_meas0) / 1e9;
    u64 lost = 0;
    if (o_mode != M_OPEN && o_mode != M_IDLE)
        for (u32 i = 0; i < nsess; i++)
            lost += sess[i].trk.missing + ((pub ? pub->sent : sess[i].sent) - sess[i].trk.exp);
    double cpu = sn1.self - sn0.self, srv = sn1.server - sn0.server;
    double busy[2], steal = 0;
    for (int k = 0; k < 2; k++) {
        double t = (double)(sn1.cpu_tot[k] - sn0.cpu_tot[k]);
        busy[k] = t > 0 ? 100.0 * (1 - (double)(sn1.cpu_idle[k] - sn0.cpu_idle[k]) / t) : 0;
        steal += t > 0 ? 100.0 * (double)(sn1.cpu_steal[k] - sn0.cpu_steal[k]) / t : 0;
    }
    printf("{\"mode\":\"%s\",\"connections\":%d,\"inflight\":%d,\"payload\":%d,\"pace\":%.0f,"
           "\"messages\":%llu,\"seconds\":%.3f,\"rate\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,"
           "\"p999_us\":%.1f,"
           "\"max_us\":%.1f,\"mean_us\":%.1f,",
           o_name, o_conns, o_inflight, o_payload, o_pace, (unsigned long long)C.msgs, s,
           s > 0 ? (double)C.msgs / s : 0, hist_pct(.5), hist_pct(.99), hist_pct(.999),
           (double)hist_max / 1e3, hist_n ? hist_sum / (double)hist_n / 1e3 : 0);
    printf(
        "\"errors\":%llu,\"lost\":%llu,\"duplicates\":%llu,\"reordered\":%llu,\"bad_payload\":%llu,"
        "\"foreign\":%llu,\"skipped\":%llu,\"checked\":%s,",
        (unsigned long long)C.errors, (unsigned long long)lost, (unsigned long long)C.dup,
        (unsigned long long)C.reord, (unsigned long long)C.bad, (unsigned long long)C.foreign,
        (unsigned long long)C.skipped, o_check ? "true" : "false");
    printf("\"frames\":%llu,\"batch\":%.2f,\"reads\":%llu,\"sends\":%llu,\"http_requests\":%llu,"
           "\"reconnects\":%llu,"
           "\"rx_mb\":%.1f,\"heartbeats\":%llu,\"pings\":%llu,",
           (unsigned long long)C.frames, C.frames ? (double)C.msgs / (double)C.frames : 0,
           (unsigned long long)(C.reads - c_reads0), (unsigned long long)(C.tx_calls - c_tx0),
           (unsigned long long)(C.http - c_http0), (unsigned long long)(C.reconnects - c_rec0),
           (double)(C.rx - c_rx0) / 1e6, (unsigned long long)C.heartbeats,
           (unsigned long long)C.pings);
    printf("\"opened\":%u,\"open_s\":%.3f,\"cpu_s\":%.3f,\"cpu_pct\":%.1f,\"cpu_us_per_msg\":%.3f,",
           opened, t_open_done > t_begin ? (double)(t_open_done - t_begin) / 1e9 : 0, cpu,
           s > 0 ? 100 * cpu / s : 0, C.msgs ? cpu * 1e6 / (double)C.msgs : 0);
    printf("\"server_cpu_s\":%.2f,\"server_cpu_pct\":%.1f,\"server_us_per_msg\":%.3f,\"server_sys_"
           "us_per_msg\":%.3f,\"server_rss_kb\":%ld,"
           "\"server_rss0_kb\":%ld,\"server_hwm_kb\":%ld,",
           srv, s > 0 ? 100 * srv / s : 0, C.msgs ? srv * 1e6 / (double)C.msgs : 0,
           C.msgs ? (sn1.server_sys - sn0.server_sys) * 1e6 / (double)C.msgs : 0, sn1.rss,
           sn_begin.rss, sn1.hwm);
    if (o_front_pid)
        printf("\"front_us_per_msg\":%.3f,",
               C.msgs ? (sn1.front - sn0.front) * 1e6 / (double)C.msgs : 0);
    if (o_redis_pid)
        printf("\"redis_us_per_msg\":%.3f,",
               C.msgs ? (sn1.redis - sn0.redis) * 1e6 / (double)C.msgs : 0);
    printf("\"server_core_busy_pct\":%.1f,\"core_busy_pct\":%.1f,\"steal_pct\":%.2f,", busy[0], busy[1],
           steal);
    printf("\"first_error\":\"%s\"}\n", first_error);
    fflush(stdout);
    return C.errors || C.bad || C.foreign || lost || C.dup || C.reord;
}

static void open_slots(void)
{ /* open mode: restart every free slot */
    for (u32 i = 0; i < nsess; i++) {
        Conn *c = sess[i].a;
        if (c->fd >= 0) {
            if (now - c->t0 > 5 * SEC) {
                error_note("open: no answer within 5 s");
                conn_close(c);
            } else
                continue;
        }
        if (!sending())
            continue;
        sess_prepare(&sess[i]);
        ws_start(c);
    }
}

static void usage(void)
{
    fputs("usage: sockjs_load --mode MODE [--host 127.0.0.1] [--port P] [--prefix /echo] "
          "[--connections N]\n"
          "  [--inflight K] [--payload BYTES] [--seconds S] [--warmup S] [--check] [--pace "
          "MSG_PER_S]\n"
          "  [--ack own|all] [--ramp N] [--addresses N] [--browser-headers] [--unicode] "
          "[--server-pid PID]\n"
          "  [--server-core N] [--core N] [--open-timeout S] [--front-port P] [--front-pid PID]\n"
          "  [--redis-pid PID]\n"
          "modes: ws-echo ws-fanout xhr-echo xhr-fanout stream-fanout open idle\n"
          "  r1-echo r1-fanout r1-poll r1-idle\n",
          stderr);
    exit(2);
}
static void options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (!strcmp(a, "--check")) {
            o_check = 1;
            continue;
        }
        if (!strcmp(a, "--browser-headers")) {
            o_browser = 1;
            continue;
        }
        if (!strcmp(a, "--unicode")) {
            o_unicode = 1;
            continue;
        }
        if (i + 1 >= argc)
            usage();
        const char *v = argv[++i];
        if (!strcmp(a, "--mode")) {
            for (size_t k = 0; k < sizeof modes / sizeof *modes; k++)
                if (!strcmp(v, modes[k].name))
                    o_mode = modes[k].mode, o_resumable = modes[k].resumable, o_name = v;
        } else if (!strcmp(a, "--host"))
            o_host = v;
        else if (!strcmp(a, "--port"))
            o_port = atoi(v);
        else if (!strcmp(a, "--prefix"))
            o_prefix = v;
        else if (!strcmp(a, "--connections"))
            o_conns = atoi(v);
        else if (!strcmp(a, "--inflight"))
            o_inflight = atoi(v);
        else if (!strcmp(a, "--payload"))
            o_payload = atoi(v);
        else if (!strcmp(a, "--seconds"))
            o_seconds = atof(v);
        else if (!strcmp(a, "--warmup"))
            o_warmup = atof(v);
        else if (!strcmp(a, "--pace"))
            o_pace = atof(v);
        else if (!strcmp(a, "--ack"))
            o_ackall = !strcmp(v, "all");
        else if (!strcmp(a, "--ramp"))
            o_ramp = atoi(v);
        else if (!strcmp(a, "--addresses"))
            o_addrs = atoi(v);
        else if (!strcmp(a, "--server-pid"))
            o_server_pid = atoi(v);
        else if (!strcmp(a, "--front-pid"))
            o_front_pid = atoi(v);
        else if (!strcmp(a, "--redis-pid"))
            o_redis_pid = atoi(v);
        else if (!strcmp(a, "--front-port"))
            o_front_port = atoi(v);
        else if (!strcmp(a, "--server-core"))
            o_core[0] = atoi(v);
        else if (!strcmp(a, "--core"))
            o_core[1] = atoi(v);
        else if (!strcmp(a, "--open-timeout"))
            o_open_timeout = atof(v);
        else
            usage();
    }
    if (o_mode < 0)
        usage();
    if (!o_inflight)
        o_inflight = 1;
    int fan = o_mode == M_WSFAN || o_mode == M_XHRFAN || o_mode == M_STRFAN;
    if (!o_prefix)
        o_prefix = fan ? "/broadcast" : "/echo";
    if (o_ackall < 0)
        o_ackall = o_mode == M_XHRFAN || o_mode == M_STRFAN;
    if (o_payload < 16 || o_payload > 1 << 20 || o_inflight < 1 || o_inflight > 65536 ||
        o_conns < 1 || o_conns > 60000 || o_seconds <= 0 || o_seconds > 600 || o_warmup < 0 ||
        o_warmup > 60 || o_addrs > 250 || o_ramp < 1)
        die("option out of range");
    if (o_pace > 0 && o_mode != M_WSECHO && o_mode != M_XHRECHO && !fan)
        die("--pace works with the echo and the fanout modes");
    if (o_front_port && o_mode != M_XHRECHO && !fan)
        die("--front-port works with xhr-echo and the fanout modes");
}

int main(int argc, char **argv)
{
    options(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    alarm((unsigned)(o_seconds + o_warmup + o_open_timeout + 30)); /* hard stop */
    struct rlimit rl;
    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
    u32 each = o_mode != M_XHRECHO ? 1 : o_front_port ? 4 : 2; /* connections of a session */
    u32 need = (u32)o_conns * each + 32;
    if (need > rl.rlim_cur)
        die("needs %u descriptors, the limit is %lu", need, (unsigned long)rl.rlim_cur);
    rng_state = clock_ns() ^ ((u64)getpid() << 40) ^ 0x9e3779b97f4a7c15ull;
    for (int i = 0; i < 16; i++)
        rnd();
    tag_run = (u32)rnd();
    ep = epoll_create1(EPOLL_CLOEXEC);
    rdbuf = xalloc(NULL, RDBUF + 16);
    wbuf = xalloc(NULL, wcap = 65536);
    build_templates();

    int fan = o_mode == M_WSFAN || o_mode == M_XHRFAN || o_mode == M_STRFAN;
    nsess = (u32)o_conns + (u32)fan;
    nconns = nsess * each;
    sess = calloc(nsess, sizeof *sess);
    conns = calloc(nconns, sizeof *conns);
    u32 ring = 1;
    while (ring < (u32)o_inflight || (o_pace > 0 && ring < 1024))
        ring <<= 1;
    ringmask = ring - 1;
    if (fan) {
        pubts = calloc(TSRING, sizeof *pubts);
        pubrem = calloc(TSRING, sizeof *pubrem);
    }
    for (u32 i = 0; i < nconns; i++) {
        conns[i].idx = i;
        conns[i].fd = -1;
    }
    for (u32 i = 0; i < nsess; i++) {
        Sess *s = &sess[i];
        s->id = i;
        s->a = &conns[i];
        s->a->s = s;
        s->a->role = (o_mode == M_XHRECHO ||
                      ((o_mode == M_XHRFAN || o_mode == M_STRFAN) && i < (u32)o_conns))
                         ? R_POLL
                         : R_WS;
        if (o_mode == M_WSECHO || o_mode == M_XHRECHO)
            s->ts = calloc(ring, sizeof(u64));
        if (o_mode == M_XHRECHO) {
            s->b = &conns[nsess + i];
            s->b->s = s;
            s->b->role = R_SEND;
            if (o_front_port) {
                s->turn_a = &conns[2 * nsess + i];
                s->turn_b = &conns[3 * nsess + i];
                *s->turn_a = (Conn){.fd = -1, .idx = 2 * nsess + i, .role = R_POLL, .s = s, .front = 1};
                *s->turn_b = (Conn){.fd = -1, .idx = 3 * nsess + i, .role = R_SEND, .s = s, .front = 1};
            }
        }
    }
    if (fan) {
        pub = &sess[nsess - 1];
        pub->is_pub = 1;
        pub->a->front = o_front_port != 0;
    }
    if (o_pace > 0) {
        double iv = 1e9 / o_pace;
        if (iv < 1e6)
            iv = 1e6;
        timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        struct itimerspec its = {0};
        its.it_interval.tv_sec = (time_t)(iv / 1e9);
        its.it_interval.tv_nsec = (long)(iv - (double)its.it_interval.tv_sec * 1e9);
        its.it_value = its.it_interval;
        timerfd_settime(timer_fd, 0, &its, NULL);
        struct epoll_event e = {.events = EPOLLIN, .data.u64 = ~0ull};
        epoll_ctl(ep, EPOLL_CTL_ADD, timer_fd, &e);
    }

    snap(&sn_begin);
    now = t_begin = clock_ns();
    t_phase_end = now + (u64)(o_open_timeout * 1e9);
    if (o_mode == M_OPEN) {
        set_phase(PH_WARM);
        open_slots();
    } else
        pump_open();

    struct epoll_event ev[512];
    u64 slow_tick = now;
    while (phase != PH_END) {
        int tmo = 20;
        u64 t = clock_ns();
        if (t_phase_end > t && t_phase_end - t < 20000000ull)
            tmo = (int)((t_phase_end - t) / 1000000) + 1;
        if (phase == PH_DRAIN)
            tmo = 2;
        int n = epoll_wait(ep, ev, 512, tmo);
        now = clock_ns();
        for (int i = 0; i < n; i++) {
            if (ev[i].data.u64 == ~0ull) {
                u64 x;
                if (read(timer_fd, &x, 8) == 8) {
                    now = clock_ns();
                    pace_tick();
                }
                continue;
            }
            Conn *c = &conns[(u32)ev[i].data.u64];
            if (c->gen != (u32)(ev[i].data.u64 >> 32) || c->fd < 0)
                continue;
            u32 g = c->gen;
            if (ev[i].events & EPOLLOUT)
                conn_writable(c);
            if (c->gen == g && (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                conn_readable(c);
            if (o_mode == M_OPEN && c->fd < 0 && sending()) {
                sess_prepare(c->s);
                ws_start(c);
            }
        }
        now = clock_ns();
        if (pub && sending())
            pub_pump();
        if (o_mode == M_OPEN && now - slow_tick > SEC / 4) {
            slow_tick = now;
            open_slots();
        }
        if (now >= t_phase_end) {
            if (phase == PH_OPEN) {
                fprintf(stderr, "only %u of %u sessions opened in time (%s)\n", opened, nsess,
                        first_error);
                error_note("open phase timed out");
                sn0 = sn1 = sn_begin;
                t_meas0 = t_meas1 = now;
                phase = PH_END;
            } else if (phase == PH_WARM)
                set_phase(PH_MEAS);
            else if (phase == PH_MEAS)
                set_phase(PH_DRAIN);
            else
                phase = PH_END;
        }
        if (phase == PH_DRAIN && drained())
            phase = PH_END;
    }
    return report();
}
