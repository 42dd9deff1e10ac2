import { Alert, Anchor, Button, Group, List, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";

import { customerDataPath, type Desk, type Erased, eraseCustomer, type Me } from "./api";

interface Props {
  me: Me;
  /** Whose, to begin with. */
  customer: string;
  opened: boolean;
  onClose: () => void;
}

type Step = { at: "asked" } | { at: "sure" } | { at: "busy" } | { at: "done"; erased: Erased };

/** What is kept of a customer: taken out as a file, or erased for good (SEC-04). */
export function CustomerData({ me, customer, opened, onClose }: Props) {
  const [address, setAddress] = useState(customer);
  const [step, setStep] = useState<Step>({ at: "asked" });
  const [problem, setProblem] = useState<string | null>(null);
  const whose = address.trim();
  const change = (text: string) => {
    setAddress(text);
    setProblem(null);
    setStep({ at: "asked" });
  };
  const erase = async () => {
    setStep({ at: "busy" });
    const answer = await eraseCustomer(me, whose);
    if (typeof answer === "string") {
      setProblem(answer);
      setStep({ at: "asked" });
    } else {
      setStep({ at: "done", erased: answer });
    }
  };
  return (
    <Modal opened={opened} onClose={onClose} title={<Text fw={700}>What is kept of a customer</Text>}>
      <Stack data-testid="customer-data">
        <TextInput label="Address" description="As it stands in the conversation, such as +14255550100"
          value={address} onChange={(event) => change(event.currentTarget.value)} />
        {problem && <Alert color="red" role="alert">{problem}</Alert>}
        {step.at === "done" ? (
          <Alert color="teal" role="status">
            <Text size="sm">{step.erased.conversations} conversations erased. Backups from before still hold them.</Text>
            {step.erased.left.length > 0 && (
              <List size="sm">{step.erased.left.map((left) => <List.Item key={left}>{left}</List.Item>)}</List>
            )}
          </Alert>
        ) : step.at === "asked" ? (
          <Group justify="space-between">
            <Anchor size="sm" download aria-disabled={whose === ""}
              href={whose === "" ? undefined : customerDataPath(whose)}>Take out as a file</Anchor>
            <Button color="red" variant="light" disabled={whose === ""} onClick={() => setStep({ at: "sure" })}>
              Erase…
            </Button>
          </Group>
        ) : (
          <Alert color="red" title={`Erase everything of ${whose}?`}>
            <Stack gap="xs">
              <Text size="sm">
                Conversations, notes and replies go for good, here and in every file of the host. What agents
                have done is still counted.
              </Text>
              <Group justify="flex-end">
                <Button variant="default" size="xs" onClick={() => setStep({ at: "asked" })}>Keep it</Button>
                <Button color="red" size="xs" loading={step.at === "busy"} onClick={() => void erase()}>
                  Erase for good
                </Button>
              </Group>
            </Stack>
          </Alert>
        )}
      </Stack>
    </Modal>
  );
}

/** The same of whoever asks for it, whether anything of theirs is open or not. */
export function CustomerDataButton({ me, desk }: { me: Me; desk: Desk }) {
  const [opened, setOpened] = useState(false);
  if (!desk.permissions.includes("customer.data")) return null;
  return (
    <>
      <Button variant="subtle" size="compact-sm" visibleFrom="md" onClick={() => setOpened(true)}>Customer's data</Button>
      {opened && <CustomerData me={me} customer="" opened onClose={() => setOpened(false)} />}
    </>
  );
}
