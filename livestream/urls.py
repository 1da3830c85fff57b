from django.urls import path

from livestream import api

urlpatterns = [
    path("live/sessions", api.Sessions.as_view()),
    path("live/sessions/<str:number>", api.SessionDetail.as_view()),
    path("live/sessions/<str:number>/events", api.Events.as_view()),
    path("live/sessions/<str:number>/start", api.SessionStart.as_view()),
    path("live/sessions/<str:number>/end", api.SessionEnd.as_view()),
    path("live/sessions/<str:number>/lots", api.Lots.as_view()),
    path("live/lots/<str:number>/drop", api.LotDrop.as_view()),
    path("live/lots/<str:number>/close", api.LotClose.as_view()),
    path("live/lots/<str:number>/claims", api.Claims.as_view()),
    path("live/claims/<str:ticket>", api.ClaimDetail.as_view()),
]
