"""A guest for QEMU's machine q35 that fits into a boot sector: it marks its memory, and obeys the power button.

For tests that need a machine which truly runs and no operating system in it. Written by hand; the octets are those of

    _start: cli; xor ax,ax; mov ds,ax; mov ss,ax; mov sp,0x7c00; jmp 0:1f
    1:      rdtsc; mov [0x7004],eax; mov [0x7008],edx       ; no two boots have the same
            mov dx,0xb2; mov al,2; out dx,al                ; APM_CNT: ACPI_ENABLE (SeaBIOS)
            mov dx,0x602; mov ax,0x100; out dx,ax           ; PM1a_EN: PWRBTN_EN (ICH9 as SeaBIOS sets it up)
            mov dword [0x7000],0x21434d56                   ; "VMC!"
    2:      sti; hlt
            mov dx,0x600; in ax,dx; test ax,0x100; jz 2b    ; PM1a_STS: PWRBTN_STS
            mov dx,0x604; mov ax,0x2000; out dx,ax          ; PM1a_CNT: SLP_EN, SLP_TYP 0 is S5
    3:      hlt; jmp 3b
"""

from __future__ import annotations

from pathlib import Path

#: Where the mark is in the guest's memory: three words, the last two its time. It is there when the guest is in LOOP.
MARK_AT = 0x7000
LOOP = range(0x7C00, 0x7E00)

_CODE = bytes.fromhex(
    "fa31c08ed88ed0bc007cea0f7c0000"
    "0f3166a3047066891608 70"
    "bab200b002ee"
    "ba0206b80001ef"
    "66c7060070564d4321"
    "fbf4"
    "ba0006eda9000174f5"
    "ba0406b80020ef"
    "f4ebfd"
)
_SIZE = 1 << 20


def write(path: Path) -> None:
    """Put it on a raw disk of 1 MiB."""
    path.write_bytes((_CODE.ljust(510, b"\0") + b"\x55\xaa").ljust(_SIZE, b"\0"))
