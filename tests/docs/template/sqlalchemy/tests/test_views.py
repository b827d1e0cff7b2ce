from myproject import models
from myproject.views.default import my_view
from myproject.views.notfound import notfound_view


def test_my_view_failure(app_request):
    assert my_view(app_request).status_int == 500


def test_my_view_success(app_request, dbsession):
    dbsession.add(models.MyModel(name='one', value=55))
    dbsession.flush()
    found = my_view(app_request)
    assert (found['one'].value, found['project']) == (55, 'My project')


def test_notfound_view(app_request):
    assert notfound_view(app_request) == {}
    assert app_request.response.status_int == 404
