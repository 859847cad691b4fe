"""Runs commands one after the other, each line of standard input a JSON list of arguments.
Prints a JSON line for each: how it ended, its output, and what the kernel says it used (wait4(2)).
The first two arguments are the folder, and the seconds of CPU time after which a command is killed."""
import json, os, resource, subprocess, sys, threading

folder, limit = sys.argv[1], int(sys.argv[2])
KEPT = 65536


def bounded():
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))


def drain(stream, kept):
    while True:
        piece = stream.read(KEPT)
        if not piece:
            return
        if len(kept) < KEPT:
            kept += piece


for line in sys.stdin:
    child = subprocess.Popen(json.loads(line), cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, preexec_fn=bounded)
    out, err = bytearray(), bytearray()
    readers = [threading.Thread(target=drain, args=(child.stdout, out)), threading.Thread(target=drain, args=(child.stderr, err))]
    for reader in readers:
        reader.start()
    _, status, used = os.wait4(child.pid, 0)
    for reader in readers:
        reader.join()
    code = os.waitstatus_to_exitcode(status)
    print(json.dumps({
        'code': code if code >= 0 else None,
        'signal': -code if code < 0 else None,
        'cpuSeconds': used.ru_utime + used.ru_stime,
        'peakBytes': used.ru_maxrss * 1024,
        'out': out[:KEPT].decode('utf-8', 'replace'),
        'err': err[:KEPT].decode('utf-8', 'replace'),
    }), flush=True)
