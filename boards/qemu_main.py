"""The frozen `main` of the emulated boards: says who it is, then sleeps."""

import gc

import _tinyren

print(_tinyren.BOARD, _tinyren.CORE, _tinyren.VERSION, gc.mem_free(), "bytes free")
while True:
    _tinyren.idle(1000)
