"""The protocol of runs and workers over the ports: nothing lost, nothing recorded twice.

`claims` is what the holder of a slot does, `dispatch` what starts workers, frees the slots of dead ones and cancels
runs. Every function takes the time, does one small step per store call, and may be cut off or repeated anywhere.
"""
