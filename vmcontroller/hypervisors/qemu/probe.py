"""A boot sector that shows whether a processor truly runs: 64-bit mode, paging, cmpxchg16b, and speed.

It does what a kernel does first, then a loop that takes a moment on a processor and minutes where each instruction
is emulated, and then ends QEMU through the device isa-debug-exit. The octets are those of

    _start: cli; xor ax,ax; mov ds,ax; mov es,ax; mov ss,ax; mov sp,0x7c00
            mov di,0x1000; mov cx,0x1800; rep stosw             ; page tables: the first 2 MiB as they are
            mov dword [0x1000],0x2003; mov dword [0x2000],0x3003; mov dword [0x3000],0x83
            lgdt [gdtr]
            mov eax,cr4; or eax,0x20; mov cr4,eax               ; PAE
            mov eax,0x1000; mov cr3,eax
            mov ecx,0xc0000080; rdmsr; or eax,0x100; wrmsr      ; EFER.LME
            mov eax,cr0; or eax,0x80000001; mov cr0,eax         ; PG, PE
            jmp dword 8:long
    long:   mov ecx,0x1000000                                   ; 64 bits from here on
    again:  lock cmpxchg16b [0x4000]; dec ecx; jnz again
            mov eax,0x10; out 0xf4,eax
    stop:   hlt; jmp stop
    gdt:    dq 0, 0x00209a0000000000
    gdtr:   dw 15; dd gdt
"""

from __future__ import annotations

#: What QEMU's exit status is when the boot sector got to its end (2 x 0x10 + 1, isa-debug-exit).
REACHED = 33
DEVICE = "isa-debug-exit,iobase=0xf4,iosize=4"

_CODE = bytes.fromhex(
    "fa31c08ed88ec08ed0bc007cbf0010b90018f3ab66c70600100320000066c706"
    "00200330000066c7060030830000000f0116987c0f20e06683c8200f22e066b8"
    "001000000f22d866b9800000c00f32660d000100000f300f20c0660d01000080"
    "0f22c066ea6b7c00000800b900000001f0480fc70c2500400000ffc975f2b810"
    "000000e7f4f4ebfd000000000000000000000000009a20000f00887c0000"
)
_SECTOR = 512
_DISK = 1 << 20


def disk() -> bytes:
    """A raw disk to boot from."""
    return (_CODE.ljust(_SECTOR - 2, b"\0") + b"\x55\xaa").ljust(_DISK, b"\0")
