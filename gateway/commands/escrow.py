"""`tinyren escrow`: a buyer's deposit for verified work, what came of it, and its end. Decides no work and no price."""

from argparse import ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.commands.arguments import positive
from gateway.commands.contract import Fields, Place, add_payer, add_place, amount, base_units, perform, shown
from gateway.errors import CommandError, Exit

if TYPE_CHECKING:
    from gateway.settlement.escrow import Escrow, Job

ESCROW = ("escrow", "the escrow contract (default: the site's)")


def add_escrow(commands: Any) -> None:
    """The command `escrow` and its verbs."""
    verbs = commands.add_parser("escrow", help="buy work of devices by a deposit").add_subparsers(
        metavar="VERB", required=True
    )
    opened = verbs.add_parser("open", help="deposit for a job: so many runs of a model, each at a price")
    opened.add_argument("--model", type=model, required=True, metavar="MODEL",
                        help="host, motion, vibration, a .tflite file, or the CID that devices sign")  # fmt: skip
    opened.add_argument("--reader", type=public_key, metavar="KEY",
                        help="buy only what devices seal to this key: `tinyren buyer key`")  # fmt: skip
    opened.add_argument("--price", type=amount, required=True, metavar="R1", help="what one run is paid")
    opened.add_argument("--deposit", type=amount, required=True, metavar="R1", help="the most that it may cost")
    opened.add_argument(
        "--epochs", type=positive, required=True, metavar="N", help="epochs in which work counts, 10,000 at most"
    )
    opened.add_argument("--deed", type=positive, action="append", default=[], metavar="N",
                        help="only work of this deed; may be repeated (default: any)")  # fmt: skip
    opened.add_argument("--anyway", action="store_true",
                        help="also for a model that these oracles do not check, and so do not pay")  # fmt: skip
    add_payer(opened)
    show = verbs.add_parser("show", help="a job, or all of them: what was paid, what is left")
    show.add_argument("job", type=positive, nargs="?", metavar="JOB", help="its number (default: all)")
    cancel = verbs.add_parser("cancel", help="end your job early; work under way is still paid")
    refund = verbs.add_parser("refund", help="have what was not delivered given back to the buyer")
    claim = verbs.add_parser("claim", help="have a deed's owner paid for the work that oracles attested")
    for verb in (cancel, refund, claim):
        verb.add_argument("job", type=positive, metavar="JOB", help="its number")
        if verb is claim:
            verb.add_argument("deed", type=positive, metavar="DEED", help="the deed whose work it was")
        add_payer(verb)
    for verb, run in (
        (opened, run_open),
        (show, run_show),
        (cancel, run_cancel),
        (refund, run_refund),
        (claim, run_claim),
    ):
        add_place(verb, ESCROW)
        verb.set_defaults(run=run)


def public_key(text: str) -> bytes:
    """An argument that must be a public key, 66 hex digits; 33 bytes."""
    from coincurve import PublicKey

    try:
        return PublicKey(bytes.fromhex(text)).format()
    except ValueError as error:
        raise ArgumentTypeError(f"got {text[:70]!r}, wanted the 66 hex digits of `tinyren buyer key`") from error


def model(text: str) -> bytes:
    """An argument that must be a model: a shipped one's name, a .tflite file or a CID; the SHA-256 of the file."""
    from gateway.storage.cid import cid_of, decode_text, digest_of

    if text in (shipped := _shipped()):
        return shipped[text]
    path = Path(text)
    if path.is_file() and path.suffix == ".tflite":
        return digest_of(cid_of(path.read_bytes()))
    try:
        return digest_of(decode_text(text))
    except ValueError as error:
        what = f"got {text[:60]!r}, wanted one of {', '.join(shipped)}, a .tflite file, or a CID"
        raise ArgumentTypeError(what) from error


def _shipped() -> dict[str, bytes]:
    """SHA-256 of the models whose work every oracle checks, by name."""
    from gateway.poai.models import SHIPPED
    from gateway.storage.cid import cid_of, digest_of

    files = {path.parent.name: path.with_suffix(".tflite") for path in SHIPPED}
    return {name: digest_of(cid_of(file.read_bytes())) for name, file in files.items() if file.is_file()}


def run_open(arguments: Namespace) -> int:
    is_shipped = arguments.model in (shipped := _shipped()).values()
    if not is_shipped and not arguments.anyway:
        what = f"--model: oracles of this version check runs of {', '.join(shipped)} only, so nobody would be paid"
        next_ = "name one of these, or add --anyway: what is not delivered comes back after the job's end"
        raise CommandError(f"{what}; {next_}", Exit.REFUSED)

    def do(place: Place) -> Fields:
        made = _escrow(place, arguments)
        decimals = _decimals(made)
        price = base_units(arguments.price, "--price", decimals)
        deposit = base_units(arguments.deposit, "--deposit", decimals)
        _check_funds(place, made, deposit)
        terms = (price, deposit, arguments.epochs, arguments.deed)
        job = made.open(_named(arguments), *terms, place.payer)
        return {"job": job, "is_model_shipped": is_shipped, **_fields(made, job, made.job(job))}

    def lines(fields: Fields) -> list[str]:
        epochs = f"epochs {fields['first']} to {fields['last']}"
        first = f"job {fields['job']}: {fields['most_units']:,} runs at most, in {epochs}"
        other = f"note: nobody is paid for this model yet; tinyren escrow cancel {fields['job']} takes the deposit back"
        notes = [] if fields["is_model_shipped"] else [other]
        return [
            first,
            *notes,
            f"see how it goes: tinyren escrow show {fields['job']}",
            f"RESULT: OK job={fields['job']}",
        ]

    return perform(arguments, do, lines)


def _named(arguments: Namespace) -> bytes:
    """What a job names: the model, or the model and the one reader that its work is sealed to (32 bytes each)."""
    from gateway.poai.private import sealed_model
    from gateway.settlement.escrow import MODEL_CID
    from gateway.storage.cid import digest_of

    if arguments.reader is None:
        return bytes(arguments.model)
    return digest_of(sealed_model(MODEL_CID + arguments.model, arguments.reader))


def run_show(arguments: Namespace) -> int:
    def do(place: Place) -> Fields:
        made = _escrow(place, arguments)
        numbers = [arguments.job] if arguments.job else range(1, made.count() + 1)
        fields = {"escrow": made.address, "epoch": _running(made)}
        if arguments.job:
            fields["work"] = _work(place, made, arguments.job)
        return {**fields, "jobs": [{"job": job, **_fields(made, job, made.job(job))} for job in numbers]}

    return perform(arguments, do, _show_lines)


def run_cancel(arguments: Namespace) -> int:
    def do(place: Place) -> Fields:
        made = _escrow(place, arguments)
        return {"job": arguments.job, **_fields(made, arguments.job, made.cancel(arguments.job, place.payer))}

    return perform(arguments, do, _end_lines)


def run_refund(arguments: Namespace) -> int:
    def do(place: Place) -> Fields:
        made = _escrow(place, arguments)
        return {"job": arguments.job, **_fields(made, arguments.job, made.refund(arguments.job, place.payer))}

    return perform(arguments, do, _end_lines)


def run_claim(arguments: Namespace) -> int:
    def do(place: Place) -> Fields:
        made, job, deed = _escrow(place, arguments), arguments.job, arguments.deed
        made.job(job)
        try:
            units, proof = _trees(place, made).work(bytes.fromhex(made.address[2:]), job, deed)
        except KeyError:
            what = f"job {job}: deed {deed} has no work under the root in force"
            raise CommandError(f"{what}; `tinyren escrow show {job}` lists who has", Exit.NOTHING_TO_DO) from None
        paid = made.claim(job, deed, units, proof, place.payer)
        fields = {"job": job, "deed": deed, "units": units, "decimals": _decimals(made)}
        return {**fields, "paid": str(paid.amount if paid else 0), "burned": str(paid.burned if paid else 0)}

    def lines(fields: Fields) -> list[str]:
        paid, burned = (shown(int(fields[name]), fields["decimals"]) for name in ("paid", "burned"))
        said = f"deed {fields['deed']}: {fields['units']:,} runs for job {fields['job']}; {paid} paid, {burned} burned"
        nothing = ["all of it was paid before"] if fields["paid"] == "0" else []
        return [said, *nothing, f"RESULT: OK paid={fields['paid']}"]

    return perform(arguments, do, lines)


def _escrow(place: Place, arguments: Namespace) -> "Escrow":
    from gateway.settlement.escrow import Escrow

    return Escrow(place.chain, place.contract("Escrow", "escrow", arguments.escrow).address)


def _decimals(made: "Escrow") -> int:
    return int(made.chain.call(made.token, "decimals"))


def _symbol(made: "Escrow") -> str:
    """The token's own name, which may be anybody's text."""
    from gateway.text import one_line

    return one_line(made.chain.call(made.token, "symbol"))[:12]


def _running(made: "Escrow") -> int:
    """The epoch that runs, as the chain sees it: the next to be posted."""
    return int(made.chain.call(made.settlement, "epoch")) + 1


def _trees(place: Place, made: "Escrow") -> Any:
    from gateway.settlement.leaves_in_force import read_trees

    return read_trees(place.folder, place.chain, made.settlement)


def _check_funds(place: Place, made: "Escrow", deposit: int) -> None:
    """A deposit takes two transactions, so what the second would refuse is told before the first."""
    from gateway.chain.chain import address_of

    held = int(place.chain.call(made.token, "balanceOf", address_of(place.payer)))
    if held < deposit:
        decimals = _decimals(made)
        wanted = f"{shown(deposit, decimals)} {_symbol(made)}"
        what = f"--deposit: {address_of(place.payer)} has {shown(held, decimals)}, wanted {wanted}"
        raise CommandError(f"{what}; name a smaller deposit, or another --key", Exit.REFUSED)


def _work(place: Place, made: "Escrow", job: int) -> list[Fields]:
    """What each deed delivered for a job by the root in force, and what it was paid for."""
    raw = bytes.fromhex(made.address[2:])
    rows = []
    if place.contracts:
        for (escrow, number, deed), units in _trees(place, made).leaves.work:
            if (escrow, number) == (raw, job):
                rows.append({"deed": deed, "units": units, "paid_units": made.delivered(job, deed)})
    return rows


def _fields(made: "Escrow", number: int, job: "Job") -> Fields:
    from gateway.settlement.escrow import MODEL_CID
    from gateway.storage.cid import encode_text

    amounts = {name: str(getattr(job, name)) for name in ("price", "cap", "paid")}
    return {
        **{name: value for name, value in vars(job).items() if name not in ("model", *amounts)},
        **amounts,
        "model": encode_text(MODEL_CID + job.model),
        "kind": "measured by the gateway" if job.is_measured else "verified",
        "most_units": job.most_units,
        "decimals": _decimals(made),
        "token": _symbol(made),
        "state": _state(made, job),
    }


def _state(made: "Escrow", job: "Job") -> str:
    running = _running(made)
    if job.is_closed:
        return "closed"
    if running < job.first:
        return f"begins with epoch {job.first}"
    if running <= job.last:
        return f"runs until epoch {job.last}"
    wanted = job.last + int(made.chain.call(made.contract, "grace"))
    in_force, _ = made.chain.call(made.settlement, "inForce")
    if in_force >= wanted:
        return "is over; `tinyren escrow refund` gives what was not delivered back to the buyer, whoever sends it"
    return f"is over; workers claim until epoch {wanted} is in force, then what was not delivered can be given back"


def _show_lines(fields: Fields) -> list[str]:
    lines = [f"escrow {fields['escrow']}, epoch {fields['epoch']} runs"]
    for row in fields["jobs"]:
        price, cap, paid = (shown(int(row[name]), row["decimals"]) for name in ("price", "cap", "paid"))
        whose = "any deed" if row["is_for_any"] else "named deeds"
        when = f"epochs {row['first']} to {row['last']}"
        lines += [
            f"job {row['job']}  {row['state']}",
            f"  {price} {row['token']} a run, {paid} of {cap} paid, {when}, {whose}, {row['kind']}",
            f"  model {row['model']}",
        ]
        if row["is_measured"] and not row["is_closed"]:
            lines.append(
                "  nobody attests what gateways measure, so it pays nobody; all of it comes back after its end"
            )
    for work in fields.get("work", []):
        due = " (due: tinyren escrow claim)" if work["units"] > work["paid_units"] else ""
        lines.append(f"  deed {work['deed']}: {work['units']:,} runs, {work['paid_units']:,} of them paid{due}")
    return [*lines, f"RESULT: OK jobs={len(fields['jobs'])}"]


def _end_lines(fields: Fields) -> list[str]:
    left = shown(int(fields["cap"]) - int(fields["paid"]), fields["decimals"])
    said = (
        f"{left} {fields['token']} went back to the buyer"
        if fields["is_closed"]
        else f"work counts until epoch {fields['last']}"
    )
    return [f"job {fields['job']} {fields['state']}; {said}", f"RESULT: OK job={fields['job']}"]
