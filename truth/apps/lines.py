"""A line every 2 ms for some seconds: the input of a client that publishes what it reads."""
import sys,time
end=time.time()+float(sys.argv[1])
while time.time()<end:
    print('message',flush=True)
    time.sleep(.002)
