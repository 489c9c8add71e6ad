"""An exception in a thread; the script goes on."""

import threading


def load():
    raise ValueError("in a thread")


thread = threading.Thread(target=load, name="feeder")
thread.start()
thread.join()


def custom(arguments):
    print("hook", arguments.exc_type.__name__, arguments.thread.name)


threading.excepthook = custom
thread = threading.Thread(target=load, name="feeder-2")
thread.start()
thread.join()
print("went on")
