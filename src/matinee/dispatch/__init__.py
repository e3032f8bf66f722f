"""The protocol of runs and workers over the ports: nothing lost, nothing recorded twice.

`worker` is what the holder of a slot does, `dispatcher` what starts and buries workers, `control` what people do. Every
function takes the time, does one small step per store call, and may be cut off or repeated anywhere.
"""
