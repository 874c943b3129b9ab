"""Django, in one file: in a project, the stream belongs into a module of its own, such as `shop/events.py`.

python django_app.py runserver --noreload
gunicorn --preload django_app:application
"""

import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from brain import Event, EventStream

settings.configure(ALLOWED_HOSTS=["127.0.0.1"], ROOT_URLCONF=__name__, SECRET_KEY=os.urandom(16).hex())
stream = EventStream.open_sync(os.environ.get("BRAIN_STREAM", "sqlite:///brain.db"))


@csrf_exempt
def place(request: HttpRequest, number: int) -> JsonResponse:
    receipt = stream.publish(Event(type="order.placed", source="shop_service", payload={"number": number}))
    if receipt.refused is not None:
        raise receipt.refused
    return JsonResponse({"number": number})


urlpatterns = [path("orders/<int:number>", place)]
application = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
