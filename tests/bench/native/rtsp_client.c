/* See rtsp_client.h. Answers Digest with MD5 whatever else the server offers: the oldest peers do,
 * and the cost of a log-in is not what is measured. Source: RFC 2326, RFC 2617. */
#define _GNU_SOURCE
#include "rtsp_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_BYTES = 65536, URL_BYTES = 512 };

struct answer {
    int status;
    char text[ANSWER_BYTES + 1]; /* head and body */
    char *body;
    size_t used, have;
};

static void give_up(const char *what, const char *detail)
{
    fprintf(stderr, "rtsp client: %s: %.400s\n", what, detail);
    exit(1);
}

int bench_connect(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port)};
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        give_up("cannot connect", "127.0.0.1");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void md5_hex(const char *text, char hex[33])
{
    uint8_t sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_Digest(text, strlen(text), sum, &n, EVP_md5(), NULL);
    for (unsigned i = 0; i < 16; i++)
        sprintf(hex + 2 * i, "%02x", sum[i]);
}

/* Copies the quoted value of `name` in a challenge; "" when absent. */
static void quoted(const char *line, const char *name, char *to, size_t room)
{
    char key[32];
    const char *at;
    snprintf(key, sizeof key, "%s=\"", name);
    at = strstr(line, key);
    to[0] = 0;
    if (at) {
        size_t n = strcspn(at + strlen(key), "\"");
        snprintf(to, room, "%.*s", (int)n, at + strlen(key));
    }
}

static void authorize(const char *challenge, const struct bench_login *login, const char *method,
                      const char *url, char *out, size_t room)
{
    char realm[128], nonce[256], opaque[256], text[1024], ha1[33], ha2[33], sum[33];
    int qop = strstr(challenge, "qop=") != NULL;
    quoted(challenge, "realm", realm, sizeof realm);
    quoted(challenge, "nonce", nonce, sizeof nonce);
    quoted(challenge, "opaque", opaque, sizeof opaque);
    snprintf(text, sizeof text, "%s:%s:%s", login->user, realm, login->password);
    md5_hex(text, ha1);
    snprintf(text, sizeof text, "%s:%s", method, url);
    md5_hex(text, ha2);
    if (qop)
        snprintf(text, sizeof text, "%s:%s:00000001:0a4f113b:auth:%s", ha1, nonce, ha2);
    else
        snprintf(text, sizeof text, "%s:%s:%s", ha1, nonce, ha2);
    md5_hex(text, sum);
    int n = snprintf(out, room,
                     "Authorization: Digest username=\"%s\", realm=\"%s\", nonce=\"%s\", uri=\"%s\", "
                     "response=\"%s\", algorithm=MD5%s", login->user, realm, nonce, url, sum,
                     qop ? ", qop=auth, nc=00000001, cnonce=\"0a4f113b\"" : "");
    if (opaque[0])
        n += snprintf(out + n, room - (size_t)n, ", opaque=\"%s\"", opaque);
    snprintf(out + n, room - (size_t)n, "\r\n");
}

static void read_answer(struct bench_wire *w, struct answer *a)
{
    char *end, *length;
    size_t body = 0, head;
    memmove(a->text, a->text + a->used, a->have - a->used);
    a->have -= a->used;
    a->used = 0;
    for (;;) {
        a->text[a->have] = 0;
        /* Media may come before the answer to a later request; skip whole frames. */
        while (a->have >= 4 && a->text[0] == '$') {
            size_t n = 4 + (size_t)((uint8_t)a->text[2] << 8 | (uint8_t)a->text[3]);
            if (n > a->have)
                break;
            memmove(a->text, a->text + n, a->have - n);
            a->have -= n;
            a->text[a->have] = 0;
        }
        end = a->have && a->text[0] != '$' ? memmem(a->text, a->have, "\r\n\r\n", 4) : NULL;
        if (end) {
            head = (size_t)(end - a->text) + 4;
            length = strcasestr(a->text, "content-length:");
            body = length && length < end ? strtoul(length + 15, NULL, 10) : 0;
            if (a->have >= head + body)
                break;
        }
        if (a->have == ANSWER_BYTES)
            give_up("answer too long", a->text);
        long n = w->recv(w, a->text + a->have, ANSWER_BYTES - a->have);
        if (n <= 0)
            give_up("connection closed during set-up", a->text);
        a->have += (size_t)n;
    }
    if (sscanf(a->text, "RTSP/1.0 %d", &a->status) != 1)
        give_up("not an RTSP answer", a->text);
    a->body = a->text + head;
    a->used = head + body;
}

static void ask(struct bench_wire *w, struct answer *a, const char *method, const char *url,
                const char *headers, const struct bench_login *login, char *challenge)
{
    static int cseq;
    char out[4096], authorization[2048] = "";
    for (int attempt = 0; attempt < 2; attempt++) {
        if (challenge[0])
            authorize(challenge, login, method, url, authorization, sizeof authorization);
        int n = snprintf(out, sizeof out, "%s %s RTSP/1.0\r\nCSeq: %d\r\nUser-Agent: bench\r\n%s%s\r\n",
                         method, url, ++cseq, headers, authorization);
        if (w->send(w, out, (size_t)n) != n)
            give_up("cannot send", method);
        read_answer(w, a);
        if (a->status != 401 || !login->user)
            break;
        /* The MD5 challenge: the one that says so or names no algorithm. */
        for (char *line = strcasestr(a->text, "www-authenticate: digest"); line;
             line = strcasestr(line + 10, "www-authenticate: digest")) {
            char one[1024];
            snprintf(one, sizeof one, "%.*s", (int)strcspn(line, "\r"), line);
            if (!strcasestr(one, "algorithm=") || strcasestr(one, "algorithm=MD5") ||
                strcasestr(one, "algorithm=\"MD5"))
                snprintf(challenge, 1024, "%s", one);
        }
        if (!challenge[0])
            give_up("no MD5 challenge", a->text);
    }
    if (a->status != 200)
        give_up(method, a->text);
}

int bench_play(struct bench_wire *w, const char *url, const struct bench_login *login,
               uint8_t *rest, size_t *rest_bytes, size_t room)
{
    struct answer *a = calloc(1, sizeof *a);
    char base[URL_BYTES], controls[4][URL_BYTES], session[128] = "", headers[512], full[2 * URL_BYTES];
    char challenge[1024] = "";
    int tracks = 0;
    char *at;

    if (!a)
        give_up("no memory", url);
    ask(w, a, "DESCRIBE", url, "Accept: application/sdp\r\n", login, challenge);
    snprintf(base, sizeof base, "%s", url);
    at = strcasestr(a->text, "content-base:");
    if (at && at < a->body)
        sscanf(at + 13, " %511[^\r\n ]", base);
    a->body[a->used - (size_t)(a->body - a->text)] = 0;
    for (at = strstr(a->body, "m="); at && tracks < 4; at = strstr(at + 2, "\nm=")) {
        char *control = strstr(at, "a=control:");
        if (control && sscanf(control + 10, "%511[^\r\n ]", controls[tracks]) == 1)
            tracks++;
    }
    if (!tracks)
        give_up("no track in the description", a->body);
    for (int t = 0; t < tracks; t++) {
        const char *slash = base[strlen(base) - 1] == '/' ? "" : "/";
        if (strncmp(controls[t], "rtsp", 4) == 0)
            snprintf(full, sizeof full, "%s", controls[t]);
        else
            snprintf(full, sizeof full, "%s%s%s", base, slash, controls[t]);
        snprintf(headers, sizeof headers,
                 "Transport: RTP/AVP/TCP;unicast;interleaved=%d-%d\r\n%s%s%s", 2 * t, 2 * t + 1,
                 session[0] ? "Session: " : "", session, session[0] ? "\r\n" : "");
        ask(w, a, "SETUP", full, headers, login, challenge);
        at = strcasestr(a->text, "session:");
        if (at)
            sscanf(at + 8, " %127[^;\r\n ]", session);
    }
    snprintf(headers, sizeof headers, "Session: %s\r\nRange: npt=0-\r\n", session);
    ask(w, a, "PLAY", base, headers, login, challenge);
    *rest_bytes = a->have - a->used;
    if (*rest_bytes > room)
        give_up("too much before PLAY was answered", url);
    memcpy(rest, a->text + a->used, *rest_bytes);
    free(a);
    return tracks;
}
