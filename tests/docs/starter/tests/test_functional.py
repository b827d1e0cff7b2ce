def test_root(testapp):
    assert b"My project" in testapp.get("/", status=200).body


def test_notfound(testapp):
    assert testapp.get("/badurl", status=404).status_code == 404
