/* Stands in for VirtualBox's launcher VBoxHeadless where no kernel module can be loaded.
 *
 * The program itself is the untouched VBoxHeadless.so. Only its launcher differs: it asks the runtime for a process
 * without the support driver, in which machines run in VirtualBox's interpreter of instructions (IEM). The flags are
 * those of iprt/initterm.h (RTR3INIT_FLAGS_TRY_SUPLIB, bit 17; the driver's own flags from bit 18 on) and of VBox/sup.h
 * (SUPR3INIT_F_DRIVERLESS, bit 2; SUPR3INIT_F_DRIVERLESS_IEM_ALLOWED, bit 3).
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define FOLDER "/usr/lib/virtualbox/"
#define TRY_SUPLIB (1u << 17)
#define DRIVERLESS_WITH_IEM (3u << (18 + 2))

typedef int initialise_t(int argc, char ***argv, uint32_t flags);
typedef int main_t(int argc, char **argv, char **envp);

static void *symbol(const char *library, const char *name)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_GLOBAL);
    void *found = handle ? dlsym(handle, name) : NULL;
    if (!found)
        fprintf(stderr, "%s\n", dlerror());
    return found;
}

/* The stock launcher alone knows options of its own. */
static int without_hardening(int argc, char **argv)
{
    int kept = 0;
    for (int i = 0; i < argc; i++)
        if (strncmp(argv[i], "--sup-hardening-log=", 20) != 0)
            argv[kept++] = argv[i];
    argv[kept] = NULL;
    return kept;
}

int main(int argc, char **argv, char **envp)
{
    initialise_t *initialise = (initialise_t *)symbol(FOLDER "VBoxRT.so", "RTR3InitExe");
    argc = without_hardening(argc, argv);
    if (!initialise || initialise(argc, &argv, TRY_SUPLIB | DRIVERLESS_WITH_IEM) < 0)
        return 1;
    main_t *trusted_main = (main_t *)symbol(FOLDER "VBoxHeadless.so", "TrustedMain");
    return trusted_main ? trusted_main(argc, argv, envp) : 1;
}
