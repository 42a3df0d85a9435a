/* What dlltool's delay-load libraries call at the first use of a function, and Debian's mingw-w64 has not: loads the DLL
   and finds the function. The layout of the description, and the exceptions, are those of Microsoft's linker. */
#include <windows.h>

#define NO_MODULE 0xC06D007Eu
#define NO_FUNCTION 0xC06D007Fu

struct description {
  DWORD attributes, name, module, addresses, names, bound, unload, time; /* places in the image but the last */
};

extern IMAGE_DOS_HEADER __ImageBase;

static void *at(DWORD place) { return (BYTE *)&__ImageBase + place; }

FARPROC WINAPI __delayLoadHelper2(const struct description *wanted, FARPROC *slot) {
  ULONG_PTR told = (ULONG_PTR)wanted;
  HMODULE *module = at(wanted->module);
  if (!*module) {
    HMODULE loaded = LoadLibraryA(at(wanted->name));
    if (!loaded)
      RaiseException(NO_MODULE, 0, 1, &told);
    InterlockedExchangePointer((void **)module, loaded);
  }
  const IMAGE_THUNK_DATA *name = (const IMAGE_THUNK_DATA *)at(wanted->names) + (slot - (FARPROC *)at(wanted->addresses));
  const char *function = IMAGE_SNAP_BY_ORDINAL(name->u1.Ordinal)
                           ? (const char *)IMAGE_ORDINAL(name->u1.Ordinal)
                           : (const char *)((const IMAGE_IMPORT_BY_NAME *)at((DWORD)name->u1.AddressOfData))->Name;
  FARPROC found = GetProcAddress(*module, function);
  if (!found)
    RaiseException(NO_FUNCTION, 0, 1, &told);
  return *slot = found;
}
