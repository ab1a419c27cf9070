# The packages have a stage of their own.
FROM tutor/shell:1 AS packages
COPY install.sh requirements.txt /
RUN sh /install.sh /requirements.txt

FROM tutor/shell:1
COPY --from=packages /packages /packages
COPY app.sh /
CMD ["sh", "/app.sh"]
