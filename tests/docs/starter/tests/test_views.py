from myproject.views.default import my_view
from myproject.views.notfound import notfound_view


def test_my_view(app_request):
    assert my_view(app_request)["project"] == "My project"
    assert app_request.response.status_int == 200


def test_notfound_view(app_request):
    assert notfound_view(app_request) == {}
    assert app_request.response.status_int == 404
