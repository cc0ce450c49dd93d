"""Two billing systems in one house: invoice delivery to Clearfacts, and research-computing chargeback."""

import atexit
import gc

# What is loaded is no garbage. By its own numbers Python walks through all of it again and again while more is loaded,
# and several times more before the process ends, when there is nothing left to gain: a third of a short command's time.
SEARCHED_AFTER = 20_000  # new objects, some megabytes; Python's own is 700
if gc.get_threshold()[0]:  # nobody has turned the search off
    gc.set_threshold(max(SEARCHED_AFTER, gc.get_threshold()[0]), *gc.get_threshold()[1:])
atexit.register(gc.freeze)
