/* Read before WinFsp's headers where winfsp-sys makes its bindings for Microsoft's compiler out of mingw-w64's headers. */
#include <assert.h>
#include <windows.h>
#undef _ReadWriteBarrier
