"""Threads that outlive the main one, and what runs at exit."""

import atexit
import threading
import time

main_ended = threading.Event()


def load():
    threading.main_thread().join()
    time.sleep(0.05)
    print("thread ends after main", flush=True)


atexit.register(lambda: print("exit function", flush=True))
threading.Thread(target=load, name="late").start()
threading.Thread(target=time.sleep, args=(60,), name="daemon", daemon=True).start()
print("main ends", flush=True)
