import os,sys,socket,struct,time,random,threading
port,dur,tcp=int(sys.argv[1]),float(sys.argv[2]),len(sys.argv)>3 and sys.argv[3]=='tcp'; name=sys.argv[4] if len(sys.argv)>4 else 'a.lab.test'
q=lambda i: struct.pack('>HHHHHH',i,0x100,1,0,0,0)+b''.join(bytes([len(x)])+x.encode() for x in name.split('.'))+b'\0'+struct.pack('>HH',1,1)
end=time.time()+dur; conns=int(os.environ.get("CONNS",5)); n=[0]*conns; e=[0]
def run(k):
    s=None
    while time.time()<end:
        try:
            if s is None: s=socket.socket(socket.AF_INET,socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM); s.settimeout(1); s.connect(('127.0.0.1',port))
            m=q(random.randrange(65536)); s.sendall(struct.pack('>H',len(m))+m if tcp else m)
            if not s.recv(2000): raise OSError
            n[k]+=1
        except OSError: e[0]+=1; s and s.close(); s=None
        time.sleep(.001)
t=[threading.Thread(target=run,args=(i,)) for i in range(conns)]; [x.start() for x in t]; [x.join() for x in t]; print('queries',sum(n),'errors',e[0])
