from myproject import models


def test_my_view_success(testapp, dbsession):
    dbsession.add(models.MyModel(name='one', value=55))
    dbsession.flush()
    assert testapp.get('/', status=200).body


def test_notfound(testapp):
    assert testapp.get('/badurl', status=404).status_code == 404
