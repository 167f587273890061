import contextlib, time, logging, os
from tests.monitor.arena import Arena, better, thresholds
from monitor.retraining import retrain
def test_try(once, tmp_path):
    t=time.time(); f=once("arena", Arena.make); print("made", time.time()-t)
    from tests.projects import copied
    a=Arena(copied(f, tmp_path/"p").folder)
    t=time.time()
    with contextlib.chdir(a.folder):
        d=retrain.run(a.settings, thresholds(), better(), a.folder)
    print("run", time.time()-t, d.outcome, d.because)
    for g in d.document.get("gates",{}).get("short",[]): print(g)
    print(a.git("log","--oneline","--all","--decorate"), a.git("status","--short"), a.production())
    assert 0
