#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Decodes what eta puts on a TCP stream, by the RFCs and by ppe/ulp.h, and without eta's own code.

    tshark -r FILE -T fields -e tcp.stream -e tcp.srcport -e tcp.seq -e tcp.payload |
        wire_decode.py [WANTED...]

Prints how often each RDMAP opcode and each operation of eta's upper-layer header was seen. Fails at
the first octet that is not as the specifications say, and if one of the names WANTED was not seen.
"""
import collections
import struct
import sys

WRITE, READ_REQUEST, READ_RESPONSE, SEND = 0, 1, 2, 3
TERMINATE, IMMEDIATE, IMMEDIATE_SE = 7, 8, 9
ATOMIC_REQUEST, ATOMIC_RESPONSE = 10, 11
OPCODES = {
    WRITE: "write",
    READ_REQUEST: "read-request",
    READ_RESPONSE: "read-response",
    SEND: "send",
    5: "send-se",
    TERMINATE: "terminate",
    IMMEDIATE: "immediate",
    IMMEDIATE_SE: "immediate-se",
    ATOMIC_REQUEST: "atomic-request",
    ATOMIC_RESPONSE: "atomic-response",
}
SENDS = (SEND, 5)
TAGGED = (WRITE, READ_RESPONSE)
QUEUES = {READ_REQUEST: 1, ATOMIC_REQUEST: 1, TERMINATE: 2, ATOMIC_RESPONSE: 3}
BODIES = {READ_REQUEST: 28, IMMEDIATE: 8, IMMEDIATE_SE: 8, ATOMIC_REQUEST: 52, ATOMIC_RESPONSE: 12}

EAGER, ANNOUNCE, ATOMIC = 1, 2, 8
ULP = {
    EAGER: "eager",
    ANNOUNCE: "announce",
    3: "done",
    4: "ack",
    5: "held",
    6: "ack-one",
    7: "read-nak",
    ATOMIC: "atomic",
    9: "result",
    10: "ping",
    11: "pong",
    12: "proof",
}
ULP_SIZES = {3: 0, 4: 8, 5: 0, 6: 0, 7: 0, 10: 0, 11: 0, 12: 32}  # behind the header
F_TAG, F_DATA, F_COMPARE = 0x01, 0x02, 0x10
FEATURE_ULP = 0x0002

seen = collections.Counter()


class Bad(Exception):
    pass


def require(condition, what):
    if not condition:
        raise Bad(what)


# ------------------------------------------------------------------------- octets of a direction


def streams(lines):
    """Octets by (stream, source port), each once and in order."""
    pieces = collections.defaultdict(list)
    for line in lines:
        fields = line.rstrip("\n").split("\t")
        if len(fields) == 4 and fields[3]:
            stream, port, seq = (int(field) for field in fields[:3])
            pieces[stream, port].append((seq, bytes.fromhex(fields[3].replace(":", ""))))
    for key, parts in pieces.items():
        parts.sort(key=lambda part: part[0])
        data, start = bytearray(), parts[0][0]
        for seq, payload in parts:
            at = seq - start
            require(at <= len(data), f"stream {key}: the capture lacks octets")
            data += payload[len(data) - at :]
        yield key, bytes(data)


# ------------------------------------------------------------------------------- MPA start-up


def mpa_frame(data):
    """The private data and the octets behind the frame."""
    require(data[:16] in (b"MPA ID Req Frame", b"MPA ID Rep Frame"), "no MPA frame")
    flags, rev, length = struct.unpack_from(">BBH", data, 16)
    require(rev == 2 and flags & 0x10, "not the enhanced set-up of RFC 6581")
    require(not flags & 0x80, "markers")
    require(len(data) >= 20 + length, "half an MPA frame")
    seen["mpa-request" if data[7:10] == b"Req" else "mpa-reply"] += 1
    return flags, data[20 : 20 + length], data[20 + length :]


def features(private):
    """Of the eta block, which stands behind a size, and user data of that size."""
    at = 4 + 1 + private[4]
    require(private[at : at + 4] == b"\xe7eta", "no eta block")
    version, length, bits = struct.unpack_from(">BBH", private, at + 4)
    require(version == 1 and at + length == len(private), "the eta block's length")
    item = at + 12
    while item < len(private):
        require(item + 2 + private[item + 1] <= len(private), "an item is cut short")
        item += 2 + private[item + 1]
    return bits


# ------------------------------------------------------------------------ the upper-layer header


def ulp_message(message):
    require(len(message) >= 8, "a Send shorter than the upper-layer header")
    op, flags, _, reserved, length = struct.unpack_from(">BBBBI", message)
    require(op in ULP and not reserved, f"upper-layer operation {op}")
    seen["ulp-" + ULP[op]] += 1
    rest = len(message) - 8
    if op in (EAGER, ANNOUNCE):
        rest -= (8 if flags & F_TAG else 0) + (8 if flags & F_DATA else 0)
        require(rest == (length if op == EAGER else 8), f"{ULP[op]}: length")
    elif op == ATOMIC:
        _, _, targets, _, size = struct.unpack_from(">BBBBI", message, 8)
        require(1 <= targets <= 4, "targets of an atomic")
        lens = [struct.unpack_from(">QII", message, 16 + 16 * i)[1] for i in range(targets)]
        operands = 2 if flags & F_COMPARE else 1
        require(sum(lens) == size, "targets of an atomic")
        require(rest - 8 - 16 * targets in (operands * size, (operands - 1) * size), "operands")
    elif op in ULP_SIZES:
        require(rest == ULP_SIZES[op], f"{ULP[op]}: length")


# --------------------------------------------------------------------------------------- FPDUs


class Direction:
    """Follows the messages of one direction."""

    def __init__(self, has_ulp):
        self.has_ulp = has_ulp
        self.numbers = collections.Counter()  # of messages, by queue
        self.opcode = None  # of the message under way
        self.send = bytearray()
        self.next_to = 0

    def begin(self, opcode):
        self.opcode = opcode
        self.send.clear()
        seen[OPCODES[opcode]] += 1

    def tagged(self, ulpdu, opcode):
        to = struct.unpack_from(">Q", ulpdu, 6)[0]
        if self.opcode is None:
            self.begin(opcode)
        else:
            require(to == self.next_to, "tagged data with a gap")
        self.next_to = to + len(ulpdu) - 14

    def untagged(self, ulpdu, opcode, last):
        _, queue, msn, offset = struct.unpack_from(">IIII", ulpdu, 2)
        body = ulpdu[18:]
        if self.opcode is None:
            self.begin(opcode)
            self.numbers[queue] += 1
        require(queue == QUEUES.get(opcode, 0), f"{OPCODES[opcode]}: queue {queue}")
        require(msn == self.numbers[queue], f"{OPCODES[opcode]}: number {msn}")
        require(offset == len(self.send), f"{OPCODES[opcode]}: offset {offset}")
        require(opcode not in BODIES or len(body) == BODIES[opcode], f"{OPCODES[opcode]}: size")
        self.send += body
        if last and opcode in SENDS and self.has_ulp:
            ulp_message(bytes(self.send))

    def fpdu(self, ulpdu):
        ddp, rdmap = ulpdu[0], ulpdu[1]
        opcode, last = rdmap & 0x0F, bool(ddp & 0x40)
        require(ddp & 0x03 == 1 and rdmap & 0xC0 == 0x40, "versions")
        require(opcode in OPCODES, f"opcode {opcode}")
        require(self.opcode in (None, opcode), "a message inside another")
        require(bool(ddp & 0x80) == (opcode in TAGGED), f"{OPCODES[opcode]}: tagged or not")
        if opcode in TAGGED:
            self.tagged(ulpdu, opcode)
        else:
            self.untagged(ulpdu, opcode, last)
        if last:
            self.opcode = None

    def run(self, data):
        while data:
            require(len(data) >= 2, "half an FPDU")
            length = struct.unpack_from(">H", data)[0]
            padded = (2 + length + 3) & ~3
            require(length >= 14, "an FPDU shorter than any header")
            require(len(data) >= padded + 4, "half an FPDU")
            require(not any(data[2 + length : padded]), "pad")
            self.fpdu(data[2 : 2 + length])
            data = data[padded + 4 :]
        require(self.opcode is None, "half a message")


def decode(lines):
    both = collections.defaultdict(list)
    for (stream, _), data in streams(lines):
        flags, private, rest = mpa_frame(data)
        both[stream].append((flags & 0x20, private, rest))
    for stream, sides in both.items():
        require(len(sides) == 2, f"stream {stream}: one direction only")
        if any(rejected for rejected, _, _ in sides):
            seen["mpa-rejected"] += 1
            continue
        agreed = features(sides[0][1]) & features(sides[1][1])
        for _, _, rest in sides:
            Direction(bool(agreed & FEATURE_ULP)).run(rest)


def main(wanted):
    try:
        decode(sys.stdin)
    except Bad as bad:
        print(f"malformed: {bad}")
        return 1
    for name, count in sorted(seen.items()):
        print(f"{count:6} {name}")
    missing = [name for name in wanted if not seen[name]]
    if missing:
        print("not seen:", " ".join(missing))
    return 1 if missing else 0


sys.exit(main(sys.argv[1:]))
