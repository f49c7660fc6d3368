"""Django and tastypie over the tables of the benchmark; served by gunicorn."""

import os
from typing import ClassVar

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="not needed",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "tastypie"],
    USE_TZ=False,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["BENCH_DB"],
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL",
                "transaction_mode": "IMMEDIATE",
            },
        }
    },
)
django.setup()

# all of these need the settings
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import models  # noqa: E402
from django.urls import include, path  # noqa: E402
from tastypie import fields  # noqa: E402
from tastypie.authorization import Authorization  # noqa: E402
from tastypie.resources import ALL, ModelResource  # noqa: E402


class Person(models.Model):
    first_name = models.TextField()
    last_name = models.TextField()
    email = models.TextField()
    age = models.IntegerField(null=True)
    city = models.TextField(null=True)
    country = models.TextField(null=True)
    salary = models.FloatField(null=True)
    active = models.BooleanField(null=True)
    created = models.TextField(null=True)

    class Meta:
        app_label = "bench"
        db_table = "person"
        managed = False


class Order(models.Model):
    person = models.ForeignKey(Person, models.CASCADE, related_name="orders")
    amount = models.FloatField()
    status = models.TextField()
    created = models.TextField()

    class Meta:
        app_label = "bench"
        db_table = "orders"
        managed = False


class OrderResource(ModelResource):
    class Meta:
        queryset = Order.objects.all()
        resource_name = "orders"
        authorization = Authorization()


class PersonResource(ModelResource):
    class Meta:
        queryset = Person.objects.all()
        resource_name = "person"
        authorization = Authorization()
        filtering: ClassVar = {"country": ALL, "age": ALL}
        ordering: ClassVar = ["last_name", "id"]
        always_return_data = True


class PersonWithOrdersResource(ModelResource):
    orders = fields.ToManyField(OrderResource, "orders", full=True)

    class Meta:
        queryset = Person.objects.prefetch_related("orders")
        resource_name = "person-with-orders"
        authorization = Authorization()


urlpatterns = [
    path("", include(resource().urls)) for resource in (PersonResource, PersonWithOrdersResource, OrderResource)
]
application = get_wsgi_application()
