/* The guest of the tests with the real VirtualBox: one boot sector that works through the BIOS.
 *
 * What it does is seen in its memory, from address 0x8000 on (the mailbox):
 *   0x8000  16 octets that tell the mailbox from other memory; the first one is written anew at each tick of the clock
 *   0x8010  one octet that is 1 once the Tab key was pressed: a "program" that lives in memory alone
 *   0x8200  one sector of the disk: a text, ended by a zero octet, read at each boot
 * Keys: Escape empties the text, a letter is added to it, Enter writes it on the disk. The power button works.
 */
        .code16
        .globl  start
        .set    MAILBOX, 0x8000
        .set    PROGRAM, MAILBOX + 16
        .set    TEXT, MAILBOX + 0x200
        .set    ONE_SECTOR_READ, 0x0201
        .set    ONE_SECTOR_WRITE, 0x0301
        /* Ports of VirtualBox's ACPI device: SMI_CMD, and PM1a status, enable and control. */
        .set    SMI_CMD, 0x442e
        .set    PM1_STATUS, 0x4000
        .set    PM1_ENABLE, 0x4002
        .set    PM1_CONTROL, 0x4004
        .set    BUTTON, 0x0100
        .set    SLEEP_5, 0x3400

start:  cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        ljmp    $0, $begin
begin:  sti
        movb    $0, MAILBOX + 1         /* A reset leaves memory as it was: no mailbox until the end. */
        movb    $0, PROGRAM
        movw    $ONE_SECTOR_READ, %ax
        call    disk
        movw    $TEXT - 1, %di
end:    incw    %di
        cmpb    $0, (%di)
        jne     end
        movb    $0xa1, %al              /* ACPI_ENABLE */
        movw    $SMI_CMD, %dx
        outb    %al, %dx
        movw    $BUTTON, %ax
        movw    $PM1_ENABLE, %dx
        outw    %ax, %dx
        movw    $hello, %si
        call    say
        movw    $MAILBOX, %si
        movb    $11, %al                /* Octet n is 37 n + 11; nothing of it stands in this sector. */
mark:   movb    %al, (%si)
        incw    %si
        addb    $37, %al
        cmpw    $MAILBOX + 16, %si
        jne     mark

wait:   hlt                             /* The clock ends it 18 times a second. */
        movb    $11, MAILBOX
        movw    $PM1_STATUS, %dx
        inw     %dx, %ax
        testw   $BUTTON, %ax
        jnz     off
        movb    $1, %ah                 /* Is there a key? */
        int     $0x16
        jz      wait
        xorw    %ax, %ax
        int     $0x16
        cmpb    $27, %al
        je      empty
        cmpb    $9, %al
        je      launch
        cmpb    $13, %al
        je      write
        stosb
        movb    $0, (%di)
        jmp     wait
empty:  movw    $TEXT, %di
        movb    $0, (%di)
        jmp     wait
launch: movb    $1, PROGRAM
        jmp     wait
write:  movw    $ONE_SECTOR_WRITE, %ax
        call    disk
        movb    $0x0a, (%di)            /* Says that it is written; the disk has it without. */
        movb    $0, 1(%di)
        jmp     wait

off:    movw    $BUTTON, %ax
        outw    %ax, %dx
        movw    $SLEEP_5, %ax
        movw    $PM1_CONTROL, %dx
        outw    %ax, %dx
        hlt

disk:   movw    $TEXT, %bx              /* The sector behind this one, of the first disk. */
        movw    $2, %cx
        movw    $0x80, %dx
        int     $0x13
        ret

say:    lodsb
        testb   %al, %al
        jz      said
        movb    $0x0e, %ah
        movw    $7, %bx
        int     $0x10
        jmp     say
said:   ret

hello:  .asciz  "VM Controller's test guest\r\n"
        .org    510
        .word   0xaa55
        .org    0x100000                /* A disk of 1 MiB, which is a block of VDI. */
