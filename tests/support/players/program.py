# Uses a file as players.rs says: HOW PATH START LENGTH CHUNK PAUSE, LENGTH -1 for all, PAUSE in milliseconds.
# Tells `begin OP` before each request, and after it `end OP MICROSECONDS ERRNO LENGTH` and the bytes that came of it.
import mmap, os, sys, time
how, path, start, length, chunk, pause = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:7])

def say(data):
    while data:
        data = data[os.write(1, data):]

def ask(op, request, shown=lambda result: b''):
    say(b'begin %s\n' % op.encode())
    begun = time.monotonic_ns()
    result, errno = None, 0
    try:
        result = request()
    except OSError as error:
        errno = error.errno
    took = (time.monotonic_ns() - begun) // 1000
    data = b'' if errno else shown(result)
    say(b'end %s %d %d %d\n' % (op.encode(), took, errno, len(data)) + data)
    if errno:
        sys.exit()
    return result

def stat_shown(found):
    return b'%d %d %d %d' % (found.st_size, found.st_mtime_ns, found.st_blocks, found.st_ino)

if how == 'list':
    ask('list', lambda: sorted(map(os.fsencode, os.listdir(path))), b'\0'.join)
    sys.exit()
if how == 'stat':
    ask('stat', lambda: os.stat(path), stat_shown)
    sys.exit()
file = ask('open', lambda: os.open(path, os.O_RDONLY | os.O_CLOEXEC))
if how in ('private', 'shared'):
    flags = mmap.MAP_PRIVATE if how == 'private' else mmap.MAP_SHARED
    view = ask('map', lambda: mmap.mmap(file, 0, flags, mmap.PROT_READ))
    end = len(view) if length < 0 else min(start + length, len(view))
elif how == 'read':
    end = None if length < 0 else start + length
while how != 'open' and (end is None or start < end):
    size = chunk if end is None else min(chunk, end - start)
    if how == 'read':
        came = ask('read', lambda: os.pread(file, size, start), lambda came: came)
    else:
        came = ask('touch', lambda: view[start:start + size], lambda came: came)
    if not came:
        break
    start += len(came)
    time.sleep(pause / 1000)
