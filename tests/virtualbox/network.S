/* Boot sector of the network guest: loads the rest of itself, enters protected mode and calls run() of network.c. */
        .set    SECTORS, 32
        .set    REST, 0x7e00

        .code16
        .globl  start
        .section .text.start, "ax"
start:  cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        ljmp    $0, $load
load:   movw    $(0x0200 + SECTORS), %ax
        movw    $REST, %bx
        movw    $2, %cx                 /* From the second sector of the first disk on. */
        movw    $0x80, %dx
        int     $0x13
        movb    $0xff, %al              /* Without interrupts: a pending one makes VirtualBox's interpreter crawl. */
        outb    %al, $0x21
        outb    %al, $0xa1
        inb     $0x92, %al              /* Address line 20. */
        orb     $2, %al
        outb    %al, $0x92
        lgdt    table_at
        movl    %cr0, %eax
        orl     $1, %eax
        movl    %eax, %cr0
        ljmp    $8, $protected

        .code32
protected:
        movw    $16, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $0x70000, %esp
        call    run
end:    jmp     end

        .align  8
table:  .quad   0
        .quad   0x00cf9a000000ffff      /* Code and data: all 4 GiB. */
        .quad   0x00cf92000000ffff
table_at:
        .word   23
        .long   table
        .org    510
        .word   0xaa55
        .section .note.GNU-stack, "", @progbits
