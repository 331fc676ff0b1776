/* The network guest: knocks at whatever may answer around a machine, and echoes what is said at the agent's door.
 *
 * No operating system, an Intel 82540EM card without interrupts, and just enough of ARP, IP, TCP and UDP. Each knock has a
 * source port of its own, by which the host's side knows it. At address 0x30000 stands how far it got: KNOCKED at last.
 * Frames may be as large as the card takes them.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

enum { PORT = 7777, MSS = 8960, DOOR = 61614, SYN = 2, PSH_ACK = 0x18, SYN_ACK = 0x12, TCP = 6, UDP = 17 };
enum { ARP = 0x806, IPV4 = 0x800, IPV6 = 0x86dd };
enum { STATUS = 0x8, RECEIVE = 0x100, TRANSMIT = 0x400, RING_IN = 0x2800, RING_OUT = 0x3800, ADDRESS = 0x5400 };
enum { BASE = 0, LENGTH = 8, HEAD = 0x10, TAIL = 0x18, SLOTS = 8, SLOT = 16384 };

struct slot {
    u32 low, high;
    u16 length;
    u8 offset, command, status, start;
    u16 special;
} __attribute__((packed));

static volatile struct slot *const in = (void *)0x40000, *const out = (void *)0x41000;
static u8 *const in_data = (u8 *)0x200000, *const out_data = (u8 *)0x300000;
static char *const told = (char *)0x30000;
static volatile u8 *card;
static u32 next_in, next_out;
static u8 mac[6], gateway_mac[6], gateway_known;

static const u8 me[] = {10, 0, 2, 15}, gateway[] = {10, 0, 2, 2}, names[] = {10, 0, 2, 3}, loopback[] = {127, 0, 0, 1};
static const u8 host[] = {198, 51, 100, 7};
static const u8 me6[16] = {0xfd, 0x17, 0x62, 0x5c, 0xf0, 0x37, 0, 2, [15] = 0x15};
static const u8 gateway6[16] = {0xfd, 0x17, 0x62, 0x5c, 0xf0, 0x37, 0, 2, [15] = 2};
static const u8 loopback6[16] = {[15] = 1}, mapped[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1};
static const u8 host6[16] = {0x20, 1, 0x0d, 0xb8, [15] = 7};
static const u8 question[] = {0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1};

/* -- octets */

static void copy(void *to, const void *from, u32 length)
{
    for (u32 i = 0; i < length; i++)
        ((u8 *)to)[i] = ((const u8 *)from)[i];
}

static u16 get16(const u8 *at) { return at[0] << 8 | at[1]; }

static void put16(u8 *at, u16 value)
{
    at[0] = value >> 8;
    at[1] = value;
}

static u32 sum(const u8 *at, u32 length, u32 start)
{
    for (; length > 1; at += 2, length -= 2)
        start += get16(at);
    return length ? start + (at[0] << 8) : start;
}

static u16 checksum(u32 sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return ~sum;
}

/* -- the card: registers and rings as in Intel's manual of the PCI/PCI-X family */

static u32 pci(u32 place, int write, u32 value)
{
    u32 result = value;
    __asm__ volatile("outl %0, %w1" : : "a"(0x80000000 | place), "Nd"(0xcf8));
    if (write)
        __asm__ volatile("outl %0, %w1" : : "a"(value), "Nd"(0xcfc));
    else
        __asm__ volatile("inl %w1, %0" : "=a"(result) : "Nd"(0xcfc));
    return result;
}

static volatile u32 *reg(u32 offset) { return (volatile u32 *)(card + offset); }

static void set_ring(u32 ring, volatile struct slot *slots, u32 tail)
{
    *reg(ring + BASE) = (u32)slots;
    *reg(ring + BASE + 4) = 0;
    *reg(ring + LENGTH) = SLOTS * sizeof(struct slot);
    *reg(ring + HEAD) = 0;
    *reg(ring + TAIL) = tail;
}

static void start_card(void)
{
    u32 place = 0;
    while (pci(place, 0, 0) != 0x100e8086)
        place += 1 << 11;
    pci(place | 4, 1, pci(place | 4, 0, 0) | 7);
    card = (u8 *)(pci(place | 0x10, 0, 0) & ~15u);
    *reg(0) |= 0x40; /* Link up. */
    u32 address[] = {*reg(ADDRESS), *reg(ADDRESS + 4)};
    copy(mac, address, 6);
    for (u32 i = 0; i < SLOTS; i++)
        in[i] = (struct slot){.low = (u32)in_data + SLOT * i};
    set_ring(RING_IN, in, SLOTS - 1);
    set_ring(RING_OUT, out, 0);
    *reg(RECEIVE) = 0x0601803a;  /* On, promiscuous, broadcasts, large frames in whole slots, without the checksum. */
    *reg(TRANSMIT) = 0x010400fa; /* On, padded. */
    while (!(*reg(STATUS) & 2))
        ;
}

static u8 *frame(u16 type)
{
    u8 *at = out_data + SLOT * next_out;
    for (u32 i = 0; i < 256; i++)
        at[i] = 0;
    copy(at, gateway_mac, 6);
    copy(at + 6, mac, 6);
    put16(at + 12, type);
    return at;
}

static void send(u32 length)
{
    volatile struct slot *slot = &out[next_out];
    *slot = (struct slot){.low = (u32)out_data + SLOT * next_out, .length = length, .command = 0xb};
    next_out = (next_out + 1) % SLOTS;
    *reg(RING_OUT + TAIL) = next_out;
    while (!(slot->status & 1))
        ;
}

/* -- protocols */

static void send_arp(u16 operation, const u8 *to_mac, const u8 *to)
{
    static const u8 kind[] = {0, 1, 8, 0, 6, 4};
    u8 *at = frame(ARP);
    copy(at, to_mac, 6);
    copy(at + 14, kind, 6);
    put16(at + 20, operation);
    copy(at + 22, mac, 6);
    copy(at + 28, me, 4);
    copy(at + 32, to_mac, 6);
    copy(at + 38, to, 4);
    send(60);
}

/* What stands at at + 34 goes to an IPv4 address; check says where its checksum belongs. */
static void send_ip(u8 *at, u8 protocol, const u8 *to, u32 length, u32 check)
{
    at[14] = 0x45;
    put16(at + 16, 20 + length);
    at[22] = 64;
    at[23] = protocol;
    copy(at + 26, me, 4);
    copy(at + 30, to, 4);
    put16(at + 24, checksum(sum(at + 14, 20, 0)));
    put16(at + 34 + check, checksum(sum(at + 34, length, sum(at + 26, 8, protocol + length))));
    send(34 + length);
}

static void send_ip6(u8 *at, u8 protocol, const u8 *to, u32 length, u32 check)
{
    at[14] = 0x60;
    put16(at + 18, length);
    at[20] = protocol;
    at[21] = 255;
    copy(at + 22, me6, 16);
    copy(at + 38, to, 16);
    put16(at + 54 + check, checksum(sum(at + 54, length, sum(at + 22, 32, protocol + length))));
    send(54 + length);
}

static void put_tcp(u8 *at, u16 from, u16 to, u32 sequence, u32 answered, u8 flags)
{
    put16(at, from);
    put16(at + 2, to);
    put16(at + 4, sequence >> 16);
    put16(at + 6, sequence);
    put16(at + 8, answered >> 16);
    put16(at + 10, answered);
    at[12] = 0x50;
    at[13] = flags;
    put16(at + 14, 0xffff);
}

static void put_udp(u8 *at, u16 from, u16 to, const u8 *data, u32 length)
{
    put16(at, from);
    put16(at + 2, to);
    put16(at + 4, 8 + length);
    copy(at + 8, data, length);
}

/* The gateway asks who has our IPv6 address before it lets packets through to us. */
static void tell_ip6(void)
{
    u8 *at = frame(IPV6), *message = at + 54;
    message[0] = 136;
    message[4] = 0x60;
    copy(message + 8, me6, 16);
    message[24] = 2;
    message[25] = 1;
    copy(message + 26, mac, 6);
    send_ip6(at, 58, gateway6, 32, 2);
}

/* -- what comes in */

static u32 get32(const u8 *at) { return (u32)get16(at) << 16 | get16(at + 2); }

static void answer_door(const u8 *got)
{
    static const u8 largest[] = {2, 4, MSS >> 8, MSS & 0xff};
    const u8 *segment = got + 34;
    u32 sequence = get32(segment + 4), head = (segment[12] >> 4) * 4;
    u32 length = get16(got + 16) - 20 - head;
    u8 *at = frame(IPV4);
    if (segment[13] & SYN) {
        put_tcp(at + 34, DOOR, get16(segment), 1000, sequence + 1, SYN_ACK);
        at[46] = 0x60;
        copy(at + 54, largest, 4);
        send_ip(at, TCP, got + 26, 24, 16);
    } else if (length) {
        put_tcp(at + 34, DOOR, get16(segment), get32(segment + 8), sequence + length, PSH_ACK);
        copy(at + 54, segment + head, length);
        send_ip(at, TCP, got + 26, 20 + length, 16);
    }
}

static void take(const u8 *got)
{
    u16 type = get16(got + 12);
    if (type == ARP && get16(got + 20) == 1)
        send_arp(2, got + 22, got + 28);
    if (type == ARP && get16(got + 20) == 2) {
        copy(gateway_mac, got + 22, 6);
        gateway_known = 1;
    }
    if (type == IPV4 && got[23] == TCP && get16(got + 36) == DOOR)
        answer_door(got);
}

static void listen(u32 rounds)
{
    for (; rounds; rounds--) {
        volatile struct slot *slot = &in[next_in];
        if (slot->status & 1) {
            take(in_data + SLOT * next_in);
            slot->status = 0;
            *reg(RING_IN + TAIL) = next_in;
            next_in = (next_in + 1) % SLOTS;
        }
    }
}

/* -- knocking */

static void knock(u16 from, const u8 *to, u8 protocol)
{
    u8 *at = frame(IPV4);
    if (protocol == TCP)
        put_tcp(at + 34, from, PORT, 1, 0, SYN);
    else
        put_udp(at + 34, from, PORT, question, sizeof question);
    send_ip(at, protocol, to, protocol == TCP ? 20 : 8 + sizeof question, protocol == TCP ? 16 : 6);
    listen(50000);
}

static void knock6(u16 from, const u8 *to, u8 protocol)
{
    u8 *at = frame(IPV6);
    if (protocol == TCP)
        put_tcp(at + 54, from, PORT, 1, 0, SYN);
    else
        put_udp(at + 54, from, PORT, question, sizeof question);
    send_ip6(at, protocol, to, protocol == TCP ? 20 : 8 + sizeof question, protocol == TCP ? 16 : 6);
    listen(50000);
}

static void ask_names(void)
{
    u8 *at = frame(IPV4);
    put_udp(at + 34, 2005, 53, question, sizeof question);
    send_ip(at, UDP, names, 8 + sizeof question, 6);
    listen(50000);
}

void run(void)
{
    static const u8 all[] = {255, 255, 255, 255, 255, 255};
    start_card();
    while (!gateway_known) {
        send_arp(1, all, gateway);
        listen(50000);
    }
    tell_ip6();
    for (u16 i = 0; i < 2; i++) {
        u8 protocol = i ? UDP : TCP;
        knock(1001 + 1000 * i, gateway, protocol);
        knock(1002 + 1000 * i, loopback, protocol);
        knock(1003 + 1000 * i, host, protocol);
        knock6(1006 + 1000 * i, gateway6, protocol);
        knock6(1007 + 1000 * i, loopback6, protocol);
        knock6(1008 + 1000 * i, mapped, protocol);
        knock6(1009 + 1000 * i, host6, protocol);
    }
    ask_names();
    copy(told, "KNOCK", 5);
    copy(told + 5, "ED\n", 4);
    for (;;)
        listen(1);
}
