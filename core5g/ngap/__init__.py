"""N2: what gNBs and AMFs say to each other, NGAP (3GPP TS 38.413) over SCTP."""
