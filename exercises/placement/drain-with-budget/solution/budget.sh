kubectl create poddisruptionbudget ledger --selector=app=ledger --max-unavailable=1
