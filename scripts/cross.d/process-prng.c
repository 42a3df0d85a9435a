/* bcryptprimitives.dll for Wine 8, which has none: random bytes, by what it has instead. For tests only. */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(BYTE *bytes, SIZE_T length) {
  while (length > 0) {
    ULONG part = length > (1u << 30) ? 1u << 30 : (ULONG)length;
    if (!RtlGenRandom(bytes, part))
      return FALSE;
    bytes += part;
    length -= part;
  }
  return TRUE;
}
