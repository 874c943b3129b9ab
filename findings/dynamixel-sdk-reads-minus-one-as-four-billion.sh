#!/usr/bin/env bash
# Guess: read4ByteTxRx of dynamixel-sdk gives a present position of -1 as -1: the control table has signed values there.
# Truth: all reads are unsigned: -1 of four bytes is 4294967295, of two bytes 65535.
# Why it matters: a servo just below zero, or a current in the other direction, reads as far beyond every limit: a guard stops
# the robot, and a mean over readings is nonsense. Convert by the size of the table's entry.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q dynamixel-sdk==4.1.0
cat >ask.py <<'P'
from dynamixel_sdk import PacketHandler


class Servo:
    """Stands for the serial port: answers each packet with a value whose bits are all set."""

    is_using = False

    def __init__(self, size):
        self.size, self.answer = size, b""

    def clearPort(self):
        pass

    def setPacketTimeout(self, *_):
        pass

    def isPacketTimeout(self):
        return False

    def writePort(self, packet):
        length = 4 + self.size
        body = [0xFF, 0xFF, 0xFD, 0, 1, length, 0, 0x55, 0, *[0xFF] * self.size]
        check = handler.updateCRC(0, [*body, 0, 0], len(body))
        self.answer = bytes([*body, check & 255, check >> 8])
        return len(packet)

    def readPort(self, length):
        part, self.answer = self.answer[:length], self.answer[length:]
        return list(part)


handler = PacketHandler(2.0)
position, current = handler.read4ByteTxRx(Servo(4), 1, 132), handler.read2ByteTxRx(Servo(2), 1, 126)
assert position[1:] == current[1:] == (0, 0), "the packets were accepted"
print(position[0], current[0])
P
seen=$(v/bin/python ask.py)
echo "dynamixel-sdk 4.1.0, a position of -1 and a current of -1: $seen"
[ "$seen" = "4294967295 65535" ]
