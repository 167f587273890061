def fetch(request):
    raise SystemExit("not written yet")
