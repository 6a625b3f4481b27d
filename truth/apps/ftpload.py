import os,sys,ftplib,time,threading,io
port,dur=int(sys.argv[1]),float(sys.argv[2]); user=sys.argv[3:4] or ['anonymous']; end=time.time()+dur; conns=int(os.environ.get("CONNS",4)); n=[0]*conns; e=[]
def run(i):
    while time.time()<end and n[i]<3000:
        try:
            f=ftplib.FTP(); f.connect('127.0.0.1',port,5); f.login(user[0],'x')
            for _ in range(5):
                if time.time()>end: break
                f.retrbinary('RETR 12k.html',lambda b:None); n[i]+=1; time.sleep(.005)
            f.quit()
        except Exception as x: e.append(repr(x)); time.sleep(.2)
t=[threading.Thread(target=run,args=(i,)) for i in range(conns)]; [x.start() for x in t]; [x.join() for x in t]; print('retr',sum(n),'errors',len(e),e[:1])
