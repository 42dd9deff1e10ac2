"""The official SDKs take our emulators for the real thing, and accept what we sign and send."""

import json
import uuid

import requests
from azure.communication.sms import SmsClient
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError
from azure.eventgrid import EventGridEvent, EventGridPublisherClient
from telesign.messaging import MessagingClient
from telesign.util import verify_telesign_callback_signature
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

CUSTOMER_ID = "FFFFFFFF-EEEE-DDDD-1234-AB1234567890"
ACCOUNT_SID = "ACbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"


# CH-02
def test_telesigns_client_works_with_our_emulator(world):
    key = world.secrets["TELESIGN_API_KEY"]
    for method in ("HMAC-SHA256", "Basic"):
        client = MessagingClient(CUSTOMER_ID, key, rest_endpoint=world.telesign)
        client.auth_method = method
        response = client.message("15558675309", "Hello + é!", "ARN", external_id=f"sdk-{method}")
        assert response.status_code == 200, response.body
        assert response.json["status"]["code"] == 290
        status = client.status(response.json["reference_id"])
        assert status.status_code == 200
    wrong = MessagingClient(CUSTOMER_ID, "b3RoZXI=", rest_endpoint=world.telesign)
    assert wrong.message("15558675309", "x", "ARN").json["status"]["code"] == 10008


# CH-02 SEC-02
def test_telesigns_own_check_signs_what_our_plugin_accepts(world):
    key = world.secrets["TELESIGN_API_KEY"]
    body = json.dumps({
        "status": {"code": 1500, "description": "Delivered to customer"},
        "reference_id": uuid.uuid4().hex.upper(),
        "errors": {},
        "sub_resource": "mo_sms",
        "user_response": {"phone_number": "15558675309", "sender_id": "15550001001",
                          "mo_message": "from the SDK's point of view é"},
    })
    import base64
    import hashlib
    import hmac
    signature = base64.b64encode(
        hmac.new(base64.b64decode(key), body.encode(), hashlib.sha256).digest()).decode()
    assert verify_telesign_callback_signature(key, signature, body)
    hook = f"{world.host}/hooks/sms-telesign"
    headers = {"X-TS-Authorization": signature, "Content-Type": "application/json"}
    assert requests.post(hook, data=body.encode(), headers=headers).status_code == 200
    changed = body.replace("view", "View").encode()
    assert requests.post(hook, data=changed, headers=headers).status_code == 403


class Loopback(TwilioHttpClient):
    """Twilio's client has no setting for its address."""

    def __init__(self, url):
        super().__init__()
        self.url = url

    def request(self, method, uri, *args, **kwargs):
        return super().request(method, uri.replace("https://api.twilio.com", self.url), *args, **kwargs)


# CH-03
def test_twilios_client_works_with_our_emulator(world):
    client = Client(ACCOUNT_SID, world.secrets["TWILIO_AUTH_TOKEN"], http_client=Loopback(world.twilio))
    message = client.messages.create(to="+15558675309", from_="+15550002002", body="Hi & é")
    assert message.sid.startswith("SM") and message.status == "queued"
    try:
        client.messages.create(to="nobody", from_="+15550002002", body="x")
        raise AssertionError("an invalid number was taken")
    except TwilioRestException as error:
        assert (error.status, error.code) == (400, 21211)
    try:
        Client(ACCOUNT_SID, "wrong", http_client=Loopback(world.twilio)).messages.create(
            to="+15558675309", from_="+15550002002", body="x")
        raise AssertionError("a wrong token was taken")
    except TwilioRestException as error:
        assert error.status == 401


# CH-03 SEC-02
def test_what_twilios_validator_signs_our_plugin_accepts(world):
    validator = RequestValidator(world.secrets["TWILIO_AUTH_TOKEN"])
    url = f"{world.host}/hooks/sms-twilio"
    fields = {"AccountSid": ACCOUNT_SID, "MessageSid": f"SM{uuid.uuid4().hex}", "From": "+15558675309", "To": "+15550002002",
              "Body": "Café & 你好 😀", "NumMedia": "0", "FromCity": ""}
    headers = {"X-Twilio-Signature": validator.compute_signature(url, fields)}
    answer = requests.post(url, data=fields, headers=headers)
    assert (answer.status_code, answer.text) == (200, "<Response/>")
    assert answer.headers["content-type"].startswith("text/xml")
    fields["Body"] += "!"
    assert requests.post(url, data=fields, headers=headers).status_code == 403


# CH-03 SEC-02
def test_twilios_validator_accepts_what_our_emulator_signs(world):
    """The emulator's webhook goes to a server of the test's own, which asks Twilio's validator."""
    import http.server
    import threading
    from urllib.parse import parse_qsl

    verdicts = []
    validator = RequestValidator(world.secrets["TWILIO_AUTH_TOKEN"])

    class Catcher(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            fields = dict(parse_qsl(body, keep_blank_values=True))
            url = f"http://{self.headers['host']}{self.path}"
            verdicts.append(validator.validate(url, fields, self.headers["x-twilio-signature"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Catcher)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = Client(ACCOUNT_SID, world.secrets["TWILIO_AUTH_TOKEN"], http_client=Loopback(world.twilio))
    callback = f"http://127.0.0.1:{server.server_port}/status?reference=a.1"
    client.messages.create(to="+15558675309", from_="+15550002002", body="x", status_callback=callback)
    import time
    until = time.time() + 20
    while len(verdicts) < 2 and time.time() < until:
        time.sleep(0.02)
    server.shutdown()
    assert verdicts == [True, True]


# CH-04
def test_azures_client_works_with_our_emulator(world):
    client = SmsClient(world.acs, AzureKeyCredential(world.secrets["ACS_ACCESS_KEY"]))
    [result] = client.send("+15550003003", "+15558675309", "Hello 你", enable_delivery_report=True, tag="sdk")
    assert result.successful and result.message_id.startswith("Outgoing_")
    [result] = client.send("+15550003003", "15558675309", "x")
    assert not result.successful and result.http_status_code == 400
    try:
        SmsClient(world.acs, AzureKeyCredential("d3Jvbmc=")).send("+15550003003", "+15558675309", "x")
        raise AssertionError("a wrong key was taken")
    except HttpResponseError as error:
        assert error.status_code == 401


# CH-04
def test_azures_event_grid_client_reaches_our_plugin(world):
    secret = world.secrets["ACS_WEBHOOK_SECRET"]
    publisher = EventGridPublisherClient(
        f"{world.host}/hooks/sms-acs?secret={secret}", AzureKeyCredential("any"))
    publisher.send([EventGridEvent(
        subject="/phonenumber/15550003003", data_version="1.0",
        event_type="Microsoft.Communication.SMSReceived",
        data={"messageId": f"Incoming_{uuid.uuid4()}", "from": "15558675309", "to": "+15550003003",
              "message": "through Azure's own client", "segmentCount": 1})])
    api = {"Authorization": f"Bearer {world.token}"}
    open_ones = requests.get(f"{world.host}/api/v1/conversations?all=true&limit=1000", headers=api).json()
    ours = [c for c in open_ones if c["channel"] == "sms-acs" and c["customer"] == "+15558675309"]
    seen = requests.get(f"{world.host}/api/v1/conversations/{ours[0]['id']}", headers=api).json()
    assert any(m["text"] == "through Azure's own client" for m in seen["messages"])
